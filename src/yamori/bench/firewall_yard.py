"""A bridge in a network namespace of its own, one VM's card and an uplink, and what a frame between them costs."""

import ctypes
import os
import resource
import socket
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from yamori.bench.firewall_policy import SERVER, address, card, mac
from yamori.model.errors import Failed, Unsupported
from yamori.model.filter_rule import UDP

T = TypeVar("T")
_NEW_NETWORK = 0x4000_0000
_PATIENCE_S = 600.0
_PROGRAM_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """CPU seconds of one piece of work, and those of them in the kernel."""

    cpu_s: float
    kernel_s: float


class Yard:
    """One thread in a namespace. VM ``number`` is the one whose card is really there. Raises Unsupported."""

    def __init__(self, number: int) -> None:
        if os.geteuid() != 0:
            raise Unsupported("bench.firewall", "network namespaces need root")
        self._number = number
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="yard", initializer=_leave)

    def __enter__(self) -> Self:
        self.run(self._build)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the namespace."""
        return self._thread.submit(work).result(timeout=_PATIENCE_S)

    def spent(self, work: Callable[[], object]) -> Spent:
        """Do something in the namespace; return what this thread and the programs that it started spent."""

        return self.run(lambda: self.measured(work))

    @staticmethod
    def measured(work: Callable[[], object]) -> Spent:
        """Do something in the calling thread; return what it and the programs that it started spent."""
        before = _used()
        work()
        after = _used()
        return Spent(cpu_s=after[0] - before[0], kernel_s=after[1] - before[1])

    def program(self, words: str, text: str = "") -> None:
        """Run a program in the calling thread's namespace. Raises Failed with what it said."""
        done = subprocess.run(
            words.split(), input=text, text=True, capture_output=True, check=False, timeout=_PROGRAM_S
        )
        if done.returncode != 0:
            raise Failed(f"{words}: {done.stderr[:300]}")

    def frames(self, count: int) -> Spent:
        """Send frames that the policy allows from the VM to the uplink, each all the way, on this thread."""

        def send() -> None:
            frame = _frame(self._number)
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("guest", 0))
                for _ in range(count):
                    sender.send(frame)

        return self.spent(send)

    def passed(self) -> int:
        """Return how many frames have come out at the uplink."""
        text = self.run(lambda: Path("/proc/thread-self/net/dev").read_text(encoding="ascii"))
        told = {
            name.strip(): numbers.split()
            for name, _, numbers in (each.partition(":") for each in text.split("\n"))
        }
        return int(told["peer"][1])

    def _build(self) -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # of this thread: frames are handled where sent
        for switch in ("iptables", "ip6tables", "arptables"):
            path = Path(f"/proc/sys/net/bridge/bridge-nf-call-{switch}")
            if path.exists():
                path.write_text("0", encoding="ascii")
        self.program("ip link add br0 type bridge mcast_snooping 0")
        self.program("ip link set br0 up")
        for name, other in ((card(self._number), "guest"), ("uplink", "peer")):
            self.program(f"ip link add {name} type veth peer name {other}")
            for each in (name, other):
                Path(f"/proc/sys/net/ipv6/conf/{each}/disable_ipv6").write_text("1", encoding="ascii")
                self.program(f"ip link set {each} up")
            self.program(f"ip link set {name} master br0")


def _leave() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _used() -> tuple[float, float]:
    own = resource.getrusage(resource.RUSAGE_THREAD)
    programs = resource.getrusage(resource.RUSAGE_CHILDREN)
    kernel = own.ru_stime + programs.ru_stime
    return kernel + own.ru_utime + programs.ru_utime, kernel


def _frame(number: int) -> bytes:
    """A DNS question without content, checksums left out: nobody reads them (RFC 791, RFC 768)."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, UDP, 0) + address(number).packed + SERVER.packed
    macs = bytes.fromhex("02aa00000002") + bytes.fromhex(mac(number).replace(":", ""))
    return macs + b"\x08\x00" + head + struct.pack("!HHHH", 5000, 53, 8, 0) + bytes(18)
