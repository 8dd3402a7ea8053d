"""A bounded number of daemon threads for calls that block; one that takes too long is cut off and given up."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from yamori.model.errors import Unreachable

T = TypeVar("T")


class Threads:
    """At most ``most`` threads exist, those included that hang in a call which nobody waits for any more."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._places = asyncio.Semaphore(most)
        self._given_up = 0

    @property
    def given_up(self) -> int:
        """Threads that still hang in a call which was given up."""
        return self._given_up

    async def run(self, job: Callable[[], T], *, seconds: float, cut: Callable[[int], None]) -> T:
        """Return what the job returns, or raise what it raises.

        Raises TimeoutError when it took longer than ``seconds`` (it may still take effect); ``cut`` is then
        told the thread, to wake it. Raises Unreachable when no thread came free because all of them hang.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            if self._given_up >= self._most:
                raise Unreachable(f"{self._given_up} calls hang", subject=self._name) from None
            raise
        task = _Task(asyncio.get_running_loop(), job, self._freed)
        thread = threading.Thread(target=task.work, name=self._name, daemon=True)
        thread.start()
        try:
            done, _ = await asyncio.wait({task.answer}, timeout=seconds)
        except asyncio.CancelledError:
            task.answer.cancel()
            raise
        if done:
            return task.answer.result()  # type: ignore[no-any-return]
        task.answer.cancel()
        task.abandoned = True
        self._given_up += 1
        cut(thread.ident or 0)
        raise TimeoutError

    def _freed(self, task: "_Task") -> None:
        self._given_up -= task.abandoned
        self._places.release()


class _Task:
    """One job and who waits for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, job: Callable[[], Any], freed: Callable[["_Task"], None]
    ) -> None:
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.abandoned = False
        self._loop = loop
        self._job = job
        self._freed = freed

    def work(self) -> None:
        """Run in the thread."""
        result: Any = None
        error: BaseException | None = None
        try:
            result = self._job()
        except BaseException as caught:  # noqa: BLE001 - the end of the thread: whoever waits is told
            error = caught
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, result, error)

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        self._freed(self)
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)
