"""Killed with SIGKILL at any write, the next life of the agent still ends every limit that was to end."""

import subprocess
import sys
from pathlib import Path

from tests.agent.lapse_child import LastingWorld
from tests.agent.lapse_world import CAP, IOPS, VM_A, WEIGHT, Clock, Ear
from yamori.agent.lapse import LapsingLimits

MOST_POINTS = 400
ROOT = Path(__file__).parents[2]


def lived(folder: Path, point: int) -> tuple[bool, set[str]]:
    """Live until the point; say whether it was killed, and which deeds it had acknowledged."""
    folder.mkdir()
    end = subprocess.run(
        [sys.executable, "-m", "tests.agent.lapse_child", str(folder), str(point)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert end.returncode in (0, -9), end.stderr
    return end.returncode != 0, set(end.stdout.split())


async def test_kill_at_every_write(tmp_path: Path) -> None:
    for point in range(1, MOST_POINTS):
        folder = tmp_path / str(point)
        killed, done = lived(folder, point)
        world, clock, ear = LastingWorld(folder), Clock(), Ear()
        lapsing = LapsingLimits(world, world, folder / "lapses.json", tell=ear, clock=clock, boot="this")
        await lapsing.load()
        clock.now += 100
        await lapsing.tend()
        held = world.held[VM_A]
        assert lapsing.pending == (), point
        assert held[CAP] is None, f"killed at {point}: the cap outlived its reason"
        assert held[WEIGHT] == 2.0 or "weight" not in done, f"killed at {point}: the weight is {held[WEIGHT]}"
        assert held[IOPS] == (40.0 if "iops" in done else held[IOPS]), point
        assert held[IOPS] in (None, 40.0), f"killed at {point}: {held[IOPS]} operations outlived their reason"
        assert not {note.outcome.value for note in ear.notes} & {"failed", "lost"}, point
        if not killed:
            assert "done" in done
            assert point > 50, "few points were found: what is counted?"
            return
    raise AssertionError("it never came to the end")
