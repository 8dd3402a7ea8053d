"""Everything that happens is told to all who listen; nobody can hold up the teller."""

import asyncio
from datetime import UTC, datetime

from yamori.control.events import QUEUE, Events
from yamori.control.facade import Event, EventKind


def stream() -> Events:
    return Events(lambda: datetime.now(UTC))


async def take(events: Events, count: int, after: int | None = None) -> list[Event]:
    got: list[Event] = []
    async for event in events.listen(after):
        got.append(event)
        if len(got) == count:
            break
    return got


async def test_two_listeners_hear_the_same_in_order() -> None:
    events = stream()
    both = [asyncio.create_task(take(events, 3)) for _ in range(2)]
    await asyncio.sleep(0)
    for number in range(3):
        events.tell(EventKind.DRIFT, f"vm-{number}", {})
    one, other = await asyncio.gather(*both)
    assert [e.number for e in one] == [1, 2, 3]
    assert one == other


async def test_one_who_comes_back_hears_what_it_missed() -> None:
    events = stream()
    for number in range(5):
        events.tell(EventKind.RUN, f"run-{number}", {})
    assert [e.number for e in await take(events, 2, after=3)] == [4, 5]


async def test_ticks_are_told_but_not_remembered() -> None:
    events = stream()
    events.tell(EventKind.TICK, "fleet", {})
    events.tell(EventKind.RUN, "run", {})
    assert [e.kind for e in await take(events, 1, after=0)] == [EventKind.RUN]


async def test_a_listener_that_does_not_listen_loses_its_place_and_no_one_waits_for_it() -> None:
    events = stream()
    slow = events.listen(None)
    first = asyncio.ensure_future(anext(slow))
    await asyncio.sleep(0)
    for number in range(QUEUE + 50):
        events.tell(EventKind.DRIFT, f"vm-{number}", {})
    heard = [(await first).number]
    heard += [event.number async for event in slow]
    assert heard == sorted(heard)
    assert 0 < len(heard) <= QUEUE + 1
