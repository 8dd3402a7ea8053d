"""Calls that hang: bounded in number, cut off, and given up by whoever waited."""

import asyncio
import threading

import pytest

from tests.drivers.vsphere.conftest import until
from yamori.drivers.vsphere.threads import Threads
from yamori.model.errors import Unreachable


def nobody(_thread: int) -> None:
    return None


async def test_what_the_job_returns_or_raises_comes_back() -> None:
    threads = Threads("t", 2)
    assert await threads.run(lambda: 42, seconds=10, cut=nobody) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0, seconds=10, cut=nobody)


async def test_a_call_that_takes_too_long_is_cut_off_and_its_place_comes_back() -> None:
    threads = Threads("t", 1)
    woken = threading.Event()
    cut: list[int] = []

    def wake(thread: int) -> None:
        cut.append(thread)
        woken.set()

    with pytest.raises(TimeoutError):
        await threads.run(lambda: woken.wait(60), seconds=0.05, cut=wake)
    assert cut
    assert await threads.run(lambda: 1, seconds=30, cut=nobody) == 1
    assert threads.given_up == 0


async def test_when_all_threads_hang_new_calls_are_refused() -> None:
    threads = Threads("t", 2)
    woken = threading.Event()
    try:
        hanging = [threads.run(lambda: woken.wait(60), seconds=0.05, cut=nobody) for _ in range(2)]
        assert all(isinstance(e, TimeoutError) for e in await asyncio.gather(*hanging, return_exceptions=True))
        assert threads.given_up == 2
        with pytest.raises(Unreachable, match="2 calls hang"):
            await threads.run(lambda: 1, seconds=0.05, cut=nobody)
    finally:
        woken.set()

    async def free() -> bool:
        return threads.given_up == 0

    await until(free, "the threads came back")
    assert await threads.run(lambda: 1, seconds=30, cut=nobody) == 1


async def test_who_is_cancelled_leaves_the_place_to_others_when_the_call_ends() -> None:
    threads = Threads("t", 1)
    woken = threading.Event()
    waiting = asyncio.create_task(threads.run(lambda: woken.wait(60), seconds=60, cut=nobody))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    woken.set()
    assert await threads.run(lambda: 1, seconds=30, cut=nobody) == 1
