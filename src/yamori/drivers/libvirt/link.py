"""One open connection of libvirt's, closed only when the last call through it is over.

libvirt frees a connection in virConnectClose even when others are in the middle of a call with it: what they touch
then is no longer theirs.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import libvirt

from yamori.model.errors import Unreachable

T = TypeVar("T")


class Link:
    """Safe for use from several threads. ``before_close`` is called with the connection before it is closed."""

    def __init__(self, opened: Any, *, name: str, before_close: Sequence[Callable[[Any], None]]) -> None:
        """Own a connection. Nobody else may close it."""
        self._opened = opened
        self._name = name
        self._before_close = before_close
        self._lock = threading.Lock()
        self._users = 0
        self._left = False
        self._closed = threading.Event()

    def use(self, job: Callable[[Any], T]) -> T:
        """Run a job with the connection, in the calling thread, and return what it returns.

        Raises Unreachable when the link was left, else what the job raises.
        """
        self._begin()
        try:
            return job(self._opened)
        finally:
            self._end()

    def alive(self) -> bool:
        """Say whether libvirt believes that the other side is there. False once it was left."""
        try:
            return self.use(lambda opened: bool(opened.isAlive()))
        except (Unreachable, libvirt.libvirtError):
            return False

    def leave(self) -> None:
        """Let nobody begin with it any more, and close it as soon as nobody uses it. Idempotent; never blocks."""
        with self._lock:
            first, self._left = not self._left, True
            idle = not self._users
        if first and idle:
            self._close_beside()

    def wait_closed(self, seconds: float) -> bool:
        """Block until it is closed, at most so long; say whether it is."""
        return self._closed.wait(seconds)

    def _begin(self) -> None:
        with self._lock:
            if self._left:
                raise Unreachable("the link was given up", subject=self._name)
            self._users += 1

    def _end(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._left and not self._users
        if last:
            self._close_beside()

    def _close_beside(self) -> None:
        """Close it in a thread of its own: that takes as long as the other side needs to answer."""
        threading.Thread(target=self._close, name=f"libvirt {self._name} close", daemon=True).start()

    def _close(self) -> None:
        for last_words in self._before_close:
            with contextlib.suppress(libvirt.libvirtError):
                last_words(self._opened)
        for last in (self._opened.unregisterCloseCallback, self._opened.close):
            with contextlib.suppress(libvirt.libvirtError):
                last()
        self._closed.set()
