"""What is open to one libvirt: a first connection, and more while several calls run. Each carries one call.

Two facts of libvirt ask for this. It frees a connection in virConnectClose even under the hands of a call. And
before 10.4 calls of several threads over one connection touch each other's stacks (CVE-2024-4418).
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import libvirt

from yamori.drivers.libvirt.failure import of_dialling
from yamori.model.errors import Unreachable

T = TypeVar("T")

KEPT_IDLE = 4
"""So many connections are kept for the next calls; further ones are closed after theirs."""


class Link:
    """Safe for use from several threads. It breaks as a whole, and is closed as a whole."""

    def __init__(
        self,
        first: Any,
        *,
        name: str,
        another: Callable[[], Any],
        before_close: Sequence[Callable[[Any], None]] = (),
    ) -> None:
        """Own an open connection. Nobody else may close it.

        ``another`` opens one more; it may raise libvirtError. ``before_close`` is called with the first one before
        it is closed.
        """
        self._first = first
        self._name = name
        self._another = another
        self._before_close = before_close
        self._lock = threading.Lock()
        self._idle = [first]
        self._open = 1
        self._left = False
        self._broken = False
        self._closed = threading.Event()

    def use(self, job: Callable[[Any], T]) -> T:
        """Run a job with a connection of its own, in the calling thread, and return what it returns.

        Raises Unreachable when the link was left or cannot be widened, else what the job raises.
        """
        mine = self._take()
        try:
            return job(mine)
        except libvirt.libvirtError:
            self._broken = self._broken or not _lives(mine)
            raise
        finally:
            self._give_back(mine)

    def alive(self) -> bool:
        """Say whether libvirt believes that the other side is there. False once it was left."""
        with self._lock:
            return not self._left and not self._broken and _lives(self._first)

    def leave(self) -> None:
        """Let no call begin, and close each connection when its call is over. Idempotent; never blocks."""
        with self._lock:
            self._left = True
            idle, self._idle = self._idle, []
        self._close_beside(idle)

    def wait_closed(self, seconds: float) -> bool:
        """Block until all of it is closed, at most so long; say whether it is."""
        return self._closed.wait(seconds)

    def _take(self) -> Any:
        with self._lock:
            if self._left:
                raise Unreachable("the link was given up", subject=self._name)
            if self._idle:
                return self._idle.pop()
            self._open += 1
        try:
            return self._another()
        except libvirt.libvirtError as error:
            self._count_off()
            raise of_dialling(error, subject=self._name) from error.with_traceback(None)

    def _give_back(self, mine: Any) -> None:
        with self._lock:
            over = self._left or (mine is not self._first and len(self._idle) >= KEPT_IDLE)
            if not over:
                self._idle.append(mine)
        if over:
            self._close_beside([mine])

    def _close_beside(self, connections: Sequence[Any]) -> None:
        """Close in a thread of its own: that takes as long as the other side needs to answer."""
        if connections:
            threading.Thread(
                target=self._close, args=(connections,), name=f"libvirt {self._name} close", daemon=True
            ).start()

    def _close(self, connections: Sequence[Any]) -> None:
        for each in connections:
            if each is self._first:
                for say_goodbye in self._before_close:
                    with contextlib.suppress(libvirt.libvirtError):
                        say_goodbye(each)
            with contextlib.suppress(libvirt.libvirtError):
                each.close()
            self._count_off()

    def _count_off(self) -> None:
        with self._lock:
            self._open -= 1
            if self._left and not self._open:
                self._closed.set()


def _lives(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False
