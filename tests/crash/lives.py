"""What a child of the nursery can do with its life."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crash.contending import contend, doze, take_lease, take_over
from tests.crash.controller import CAP, IOPS, STORIES, Act, Mortality, many_at_once, one_life
from yamori.store import open_store


def story(state: str, world: str, name: str, kill_at: int) -> int:
    return one_life(state, world, STORIES[name], kill_at)


def crowd(state: str, world: str, vms: int, kill_at: int) -> None:
    """Throttle, throttle harder and in vain, release: on many VMs at once."""
    many_at_once(
        state,
        world,
        [
            (
                Act(f"{vm}-1", vm, ((CAP, 0.5), (IOPS, 50.0))),
                Act(f"{vm}-2", vm, ((CAP, 0.1),), reason="fails"),
                Act(f"{vm}-3", vm),
            )
            for vm in (f"v{number}" for number in range(vms))
        ],
        kill_at,
    )


def opening(state: str, kill_at: int) -> int:
    """Open a store for the first time."""
    mortality = Mortality(kill_at)
    mortality.watch_the_store()
    mortality.watch_files()

    async def life() -> None:
        store = await open_store(Path(state))
        store.claim()
        await store.close()

    asyncio.run(life())
    return mortality.passed


LIVES: dict[str, Callable[..., Any]] = {
    "story": story,
    "crowd": crowd,
    "opening": opening,
    "contend": contend,
    "doze": doze,
    "take_lease": take_lease,
    "take_over": take_over,
}
