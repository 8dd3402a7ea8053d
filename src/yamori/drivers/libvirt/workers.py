"""Bounded daemon threads for calls that may never return. Knows nothing of libvirt."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from yamori.model.errors import Unreachable

T = TypeVar("T")


class Workers:
    """Runs blocking calls beside the event loop, one thread a call.

    At most ``size`` calls run; more wait their turn. A call that is given up after its time keeps its thread
    (nothing can stop it) but frees its place, until ``most_stuck`` threads hang: then new calls are refused.
    Threads are daemons, so that a hung one never keeps the process from ending.
    """

    def __init__(self, name: str, *, size: int, most_stuck: int) -> None:
        self._name = name
        self._places = asyncio.Semaphore(size)
        self._most_stuck = most_stuck
        self._stuck = 0
        self._hanging: Counter[str | None] = Counter()

    @property
    def stuck(self) -> int:
        """Threads that hang in a call nobody waits for any more."""
        return self._stuck

    async def run(self, job: Callable[[], T], *, seconds: float | None, about: str | None = None) -> T:
        """Return what the job returns, or raise what it raises.

        While a call ``about`` something hangs, another one about the same is not begun, so that one thing that
        hangs does not use up the threads. Raises TimeoutError for that, when no thread came free in
        ``seconds``, or when the job took longer than that (it may still take effect); Unreachable when too many
        threads hang already.
        """
        if self._stuck >= self._most_stuck:
            raise Unreachable(f"{self._stuck} calls hang", subject=self._name)
        if about in self._hanging:
            raise TimeoutError
        async with asyncio.timeout(seconds):
            await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        given_up = False

        def ended() -> None:
            if given_up:
                self._stuck -= 1
                self._hanging -= Counter([about])
            else:
                self._places.release()

        def deliver(result: Any, error: BaseException | None) -> None:
            ended()
            if answer.cancelled():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        threading.Thread(target=_work, args=(job, loop, deliver), name=self._name, daemon=True).start()
        try:
            done, _ = await asyncio.wait({answer}, timeout=seconds)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if not done:
            given_up = True
            self._stuck += 1
            self._hanging += Counter([] if about is None else [about])
            self._places.release()
            answer.cancel()
            raise TimeoutError
        return answer.result()


def _work(
    job: Callable[[], Any],
    loop: asyncio.AbstractEventLoop,
    deliver: Callable[[Any, BaseException | None], None],
) -> None:
    result: Any = None
    error: BaseException | None = None
    try:
        result = job()
    except BaseException as caught:  # noqa: BLE001 - the edge of a thread: whoever waits gets it
        error = caught
    try:
        loop.call_soon_threadsafe(deliver, result, error)
    except RuntimeError:
        return  # the event loop was closed while the call hung: nobody waits any more
