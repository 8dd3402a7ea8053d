"""Two controllers at one store: never both at work on a subject, and a dead one's work is taken over."""

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.contending import SUBJECT
from tests.crash.ending import ending
from tests.crash.nursery import Nursery, nursery
from yamori.model.run import Run, RunState
from yamori.store import open_store

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def others() -> Iterator[Nursery]:
    with nursery() as kept:
        yield kept


@pytest.fixture
def place(fresh: Path, quick_path: Path) -> Path:
    shutil.copytree(fresh, quick_path / "state")
    return quick_path


def test_two_engines_never_work_on_one_subject_at_once(place: Path, lives: Nursery, others: Nursery) -> None:
    # The first run of one goes on until the other has been refused: so they are sure to meet.
    lives.begin("contend", str(place), "a", 12, 100.0, "refused-b")
    _until(lambda: (place / "at-work").exists())
    others.begin("contend", str(place), "b", 12, 200.0)
    (code_a, _), (code_b, refused_b) = lives.end(), others.end()
    assert (code_a, code_b) == (0, 0)
    assert refused_b > 0
    end = asyncio.run(ending(place / "state", place / "world.json"))
    assert len(end["runs"]) == 24
    assert {run["state"] for run in end["runs"].values()} == {"verified"}
    assert not (place / "overlap").exists()


@pytest.mark.parametrize("seed", range(3))
def test_what_a_killed_engine_left_is_finished_by_the_other(
    seed: int, place: Path, lives: Nursery, others: Nursery
) -> None:
    chance = random.Random(seed)
    victim = lives.begin("contend", str(place), "a", 500, 1000.0)
    others.begin("contend", str(place), "b", 6, 10.0)
    _until(lambda: (place / "world.json").exists())
    time.sleep(chance.uniform(0.0, 0.2))
    os.kill(victim, signal.SIGKILL)
    assert lives.end()[0] == -signal.SIGKILL
    assert others.end()[0] == 0
    # The other may have ended before the kill: then it is for the next one to finish what is left.
    assert lives.live("contend", str(place), "c", 0, 0.0)[0] == 0
    end = asyncio.run(ending(place / "state", place / "world.json"))
    # The one run that the victim died in was finished before the other began a new one on the same subject.
    assert {run["state"] for run in end["runs"].values()} == {"verified"}
    assert sum(name.startswith("b-") for name in end["runs"]) == 6
    assert not (place / "overlap").exists()


@pytest.fixture
def sleeper(place: Path, lives: Nursery) -> Iterator[int]:
    """An engine whose whole process fell asleep in the middle of apply. Its test wakes it up."""
    pid = lives.begin("doze", str(place), "a")
    _until(lambda: _stopped(pid))
    yield pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_an_engine_that_wakes_up_after_its_run_was_finished_writes_nothing_more(
    place: Path, sleeper: int, lives: Nursery, others: Nursery
) -> None:
    code, refused = others.live("take_over", str(place), "b")
    assert code == 0
    assert refused > 0, "the lease of a living owner was taken before it ran out"
    finished = asyncio.run(_run(place))
    assert finished.state is RunState.VERIFIED

    os.kill(sleeper, signal.SIGCONT)
    assert lives.end() == (0, "interrupted")
    assert asyncio.run(_run(place)) == finished
    tokens = [entry.token for entry in finished.entries]
    assert tokens == sorted(tokens)
    assert tokens[-1] > tokens[0]
    asyncio.run(ending(place / "state", place / "world.json"))


def test_an_engine_that_wakes_up_after_another_took_its_lease_writes_nothing_more(
    place: Path, sleeper: int, lives: Nursery, others: Nursery
) -> None:
    """Here nothing but the token tells that it is too late: the other has not written a word yet."""
    code, refused = others.live("take_lease", str(place), "b")
    assert code == 0
    assert refused > 0
    left = asyncio.run(_run(place))
    assert left.state is RunState.APPLYING

    os.kill(sleeper, signal.SIGCONT)
    assert lives.end() == (0, "interrupted")
    assert asyncio.run(_run(place)) == left
    assert others.live("take_over", str(place), "b") == (0, 0)
    assert asyncio.run(_run(place)).state is RunState.VERIFIED
    asyncio.run(ending(place / "state", place / "world.json"))


async def _run(place: Path) -> Run:
    store = await open_store(place / "state")
    (listed,) = await store.journal.runs(limit=10, subject=SUBJECT)
    run = await store.journal.run(listed.id)
    await store.close()
    return run


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _until(so: object) -> None:
    assert callable(so)
    deadline = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
