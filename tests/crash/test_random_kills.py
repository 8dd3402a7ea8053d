"""Killed at points drawn by lot: many runs at once; and at the very first opening of a store."""

import asyncio
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.crash.ending import ending
from tests.crash.nursery import Nursery
from yamori.store import open_store

VMS = 6
KILLS = 12


@pytest.mark.parametrize("seed", range(2))
def test_runs_at_once_end_the_same_however_often_they_are_killed(
    seed: int, lives: Nursery, fresh: Path, quick_path: Path
) -> None:
    def paths(life: str) -> tuple[Path, Path]:
        place = quick_path / life
        place.mkdir()
        shutil.copytree(fresh, place / "state")
        return place / "state", place / "world.json"

    def told(state: Path, world: Path) -> dict[str, Any]:
        end = asyncio.run(ending(state, world))
        # Runs of different VMs come in any order.
        return {**end, "rulings": sorted(end["rulings"]), "world": {**end["world"], "effects": None}}

    state, world = paths("whole")
    assert lives.live("crowd", str(state), str(world), VMS, -1) == (0, None)
    whole = told(state, world)
    assert len(whole["runs"]) == 3 * VMS

    chance = random.Random(seed)
    state, world = paths("killed")
    killed = 0
    for _ in range(KILLS):
        # Which of the runs has come how far at that point is up to the threads and the scheduler.
        killed += lives.live("crowd", str(state), str(world), VMS, chance.randint(0, 60))[0] == -signal.SIGKILL
    assert killed > 0
    assert lives.live("crowd", str(state), str(world), VMS, -1) == (0, None)
    assert told(state, world) == whole


def test_a_store_killed_while_it_is_first_opened_can_be_opened(lives: Nursery, quick_path: Path) -> None:
    async def look(state: Path) -> int:
        store = await open_store(state)
        assert store.claim().startswith("controller-")
        count = await store.ledger.verify()
        await store.close()
        return count

    code, points = lives.live("opening", str(quick_path / "whole"), -1)
    assert (code, points) == (0, 6)
    for point in range(points):
        state = quick_path / f"{point}"
        assert lives.live("opening", str(state), point)[0] == -signal.SIGKILL
        assert asyncio.run(look(state)) == 0
