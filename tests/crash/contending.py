# ruff: noqa: ASYNC240 -- a controller of a test may look at small files in its loop
"""Controllers of different owners at one store, as they will be when there are several of them."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.crash.controller import CAP, Act, bound, planned
from tests.crash.throttling import Throttling
from tests.crash.world import World
from yamori.model.errors import Conflict, Interrupted
from yamori.model.run import Run
from yamori.store import Store, open_store
from yamori.workflow.engine import Engine
from yamori.workflow.patience import Patience

Json = dict[str, Any]
TTL_S = 1.0
SUBJECT = "v"


@dataclass
class Alone(Throttling):
    """A throttle that notices when another process is at work on its subject at the same time.

    ``until`` names a file: it stays at work until somebody has made it.
    """

    place: Path = Path()
    until: str | None = None

    async def apply(self, before: Json) -> None:
        lock = os.open(self.place / "at-work", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (self.place / "overlap").touch()
        await super().apply(before)
        if self.until is not None:
            await _made(self.place / self.until)
        await asyncio.sleep(0.005)
        os.close(lock)


@dataclass
class Sleeper(Throttling):
    """A throttle in the middle of which the whole process falls asleep, as a suspended machine does."""

    async def apply(self, before: Json) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        await super().apply(before)


async def _opened(place: Path, owner: str) -> tuple[Store, Engine, World]:
    store = await open_store(place / "state")
    patience = Patience(attempts=1, undo_attempts=1, pause_s=0.0, ttl_s=TTL_S)
    engine = Engine(journal=store.journal, leases=store.leases, owner=owner, patience=patience)
    return store, engine, World(place / "world.json")


async def _made(path: Path) -> None:
    async with asyncio.timeout(60.0):
        while not path.exists():  # noqa: ASYNC110 -- another process makes it
            await asyncio.sleep(0.01)


async def _insist(work: Callable[[], Awaitable[Run]], mark: Path | None = None) -> int:
    """Do it as soon as the other lets go, leaving a mark when refused. Returns how often it was."""
    refused = 0
    while True:
        try:
            await work()
        except Conflict:
            refused += 1
            if mark is not None:
                mark.touch()
            await asyncio.sleep(0.01)
        else:
            return refused


async def _alone(run: Run, store: Store, world: World, place: Path) -> Alone:
    step = await bound(run, store, world)
    assert isinstance(step, Throttling)
    return Alone(run=run, world=world, hold=step.hold, place=place)


async def _contend(place: Path, owner: str, runs: int, limit: float, until: str | None) -> int:
    store, engine, world = await _opened(place, owner)
    refused = 0
    for number in range(runs):
        run = planned(Act(f"{owner}-{number}", SUBJECT, ((CAP, limit + number),)))
        step = await _alone(run, store, world, place)
        step.until = until if number == 0 else None
        mark = place / f"refused-{owner}"

        async def begin(run: Run = run, step: Alone = step) -> Run:
            await _finish(store, engine, world, place)
            return await engine.execute(run, step)

        refused += await _insist(begin, mark)
    while await store.journal.unfinished():
        await _finish(store, engine, world, place)
        await asyncio.sleep(0.02)
    await store.close()
    return refused


async def _finish(store: Store, engine: Engine, world: World, place: Path) -> None:
    """Finish what a dead one left: it is anybody's, once its lease has run out."""
    for run in await store.journal.unfinished():
        step = await _alone(run, store, world, place)
        with suppress(Conflict):
            await engine.resume(run.id, step)


async def _doze(place: Path, owner: str) -> str:
    store, engine, world = await _opened(place, owner)
    run = planned(Act("dozed", SUBJECT, ((CAP, 0.5),)))
    step = await bound(run, store, world)
    assert isinstance(step, Throttling)
    try:
        ended = await engine.execute(run, Sleeper(run=run, world=world, hold=step.hold))
    except Interrupted as lost:
        return lost.code
    finally:
        await store.close()
    return ended.state.value


async def _take_over(place: Path, owner: str) -> int:
    store, engine, world = await _opened(place, owner)
    (left,) = await store.journal.unfinished()
    step = await bound(left, store, world)
    refused = await _insist(lambda: engine.resume(left.id, replace(step)))
    await store.close()
    return refused


async def _take_lease(place: Path, owner: str) -> int:
    """Take the lease as soon as it can be had, and die before writing a word."""
    store, _, _ = await _opened(place, owner)
    refused = 0
    while True:
        try:
            await store.leases.acquire(SUBJECT, owner, TTL_S)
        except Conflict:
            refused += 1
            await asyncio.sleep(0.02)
        else:
            return refused


def contend(place: str, owner: str, runs: int, limit: float, until: str | None = None) -> int:
    return asyncio.run(_contend(Path(place), owner, runs, limit, until))


def doze(place: str, owner: str) -> str:
    return asyncio.run(_doze(Path(place), owner))


def take_over(place: str, owner: str) -> int:
    return asyncio.run(_take_over(Path(place), owner))


def take_lease(place: str, owner: str) -> int:
    return asyncio.run(_take_lease(Path(place), owner))
