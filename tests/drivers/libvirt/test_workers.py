"""Threads for calls that may never return."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from yamori.drivers.libvirt.workers import Workers
from yamori.model.errors import Unreachable

SOON = 0.05
LATER = 30.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Jobs that wait for it hang until the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


async def _until(condition: object) -> None:
    for _ in range(500):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never was so")


async def test_what_the_job_returns_or_raises_comes_back() -> None:
    workers = Workers("w", size=1, most_stuck=1)
    assert await workers.run(lambda: 7, seconds=LATER) == 7
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0, seconds=LATER)


async def test_a_call_that_hangs_is_given_up_and_frees_its_place(gate: threading.Event) -> None:
    workers = Workers("w", size=1, most_stuck=2)
    with pytest.raises(TimeoutError):
        await workers.run(gate.wait, seconds=SOON)
    assert workers.stuck == 1
    assert await workers.run(lambda: 7, seconds=LATER) == 7
    gate.set()
    await _until(lambda: workers.stuck == 0)


async def test_what_hangs_is_not_asked_again_until_it_answers(gate: threading.Event) -> None:
    workers = Workers("w", size=2, most_stuck=4)
    with pytest.raises(TimeoutError):
        await workers.run(gate.wait, seconds=SOON, about="vm-1")
    for _ in range(10):
        with pytest.raises(TimeoutError):
            await workers.run(lambda: 7, seconds=LATER, about="vm-1")
    assert workers.stuck == 1
    assert await workers.run(lambda: 7, seconds=LATER, about="vm-2") == 7
    gate.set()
    await _until(lambda: workers.stuck == 0)
    assert await workers.run(lambda: 8, seconds=LATER, about="vm-1") == 8


async def test_too_many_hanging_calls_are_the_last(gate: threading.Event) -> None:
    workers = Workers("w", size=4, most_stuck=2)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await workers.run(gate.wait, seconds=SOON)
    before = threading.active_count()
    with pytest.raises(Unreachable, match="2 calls hang"):
        await workers.run(lambda: 7, seconds=LATER)
    assert threading.active_count() == before


async def test_when_all_threads_are_in_use_a_call_waits_for_no_longer_than_its_time(gate: threading.Event) -> None:
    workers = Workers("w", size=1, most_stuck=2)
    running = asyncio.create_task(workers.run(gate.wait, seconds=LATER))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await workers.run(lambda: 7, seconds=SOON)
    gate.set()
    assert await running


async def test_a_cancelled_wait_frees_the_place_once_the_job_returns(gate: threading.Event) -> None:
    workers = Workers("w", size=1, most_stuck=2)
    running = asyncio.create_task(workers.run(gate.wait, seconds=LATER))
    await asyncio.sleep(SOON)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.set()
    assert await workers.run(lambda: 7, seconds=LATER) == 7
    assert workers.stuck == 0


async def test_no_more_threads_run_than_there_are_places() -> None:
    workers, lock, seen = Workers("w", size=3, most_stuck=1), threading.Lock(), [0, 0]

    def job() -> None:
        with lock:
            seen[0] += 1
            seen[1] = max(seen)
        threading.Event().wait(0.01)
        with lock:
            seen[0] -= 1

    await asyncio.gather(*(workers.run(job, seconds=LATER) for _ in range(30)))
    assert 1 <= seen[1] <= 3


def test_a_thread_that_ends_after_its_event_loop_disturbs_nobody() -> None:
    gate = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await Workers("orphan", size=1, most_stuck=1).run(gate.wait, seconds=SOON)

    asyncio.run(give_up())
    orphans = [thread for thread in threading.enumerate() if thread.name == "orphan"]
    gate.set()
    for thread in orphans:
        thread.join(LATER)
        assert not thread.is_alive()
