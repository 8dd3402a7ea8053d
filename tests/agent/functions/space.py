"""A network namespace that a test made: whatever is run in it sees only what the test has put there."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from yamori.agent.functions.netlink import Link, Netlink, links

T = TypeVar("T")
_NEW_NETWORK = 0x4000_0000


def _leave() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


class Space:
    """One thread in a namespace of its own; the namespace ends with it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="space", initializer=_leave)
        self.tid = self.run(threading.get_native_id)
        self.ip("link set lo up")

    def run(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result(timeout=120)

    def ip(self, words: str) -> str:
        return self.sh(f"ip {words}")

    def sh(self, words: str) -> str:
        def call() -> str:
            done = subprocess.run(words.split(), capture_output=True, text=True, check=False, timeout=30)
            assert done.returncode == 0, f"{words}: {done.stderr}"
            return done.stdout

        return self.run(call)

    def ask(self, work: Callable[[Netlink], T]) -> T:
        def call() -> T:
            with Netlink() as netlink:
                return work(netlink)

        return self.run(call)

    def link(self, name: str) -> Link:
        return next(link for link in self.ask(links).values() if link.name == name)

    def names(self) -> set[str]:
        return {link.name for link in self.ask(links).values()} - {"lo"}

    def close(self) -> None:
        self._thread.shutdown()


def why_not() -> str | None:
    """Why this machine cannot make namespaces, None where it can."""
    return None if os.geteuid() == 0 else "NO NETWORK NAMESPACE ON THIS MACHINE: it needs root"
