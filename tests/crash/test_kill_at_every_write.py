"""The engine's own proof: killed at every point, the run ends as if it had not been."""

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from tests.crash.controller import STORIES
from tests.crash.ending import ending, leased
from tests.crash.nursery import Nursery


@pytest.mark.parametrize("name", STORIES)
def test_a_run_killed_at_any_point_ends_the_same(name: str, lives: Nursery, fresh: Path, quick_path: Path) -> None:
    def begin(life: str) -> tuple[Path, Path]:
        place = quick_path / life
        place.mkdir()
        shutil.copytree(fresh, place / "state")
        return place / "state", place / "world.json"

    state, world = begin("whole")
    code, points = lives.live("story", str(state), str(world), name, -1)
    assert code == 0
    whole = asyncio.run(ending(state, world))
    assert points > 15
    assert not leased(state)

    for point in range(points):
        state, world = begin(str(point))
        code, _ = lives.live("story", str(state), str(world), name, point)
        assert code == -signal.SIGKILL, f"was to die at point {point}"
        code, _ = lives.live("story", str(state), str(world), name, -1)
        assert code == 0, f"could not go on after point {point}"
        assert asyncio.run(ending(state, world)) == whole, f"differs after point {point}"
        shutil.rmtree(state.parent)
