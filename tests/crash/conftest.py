"""What the crash suite shares: a nursery, a place in memory, a store that was opened once."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.nursery import Nursery, nursery
from yamori.store import open_store

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def lives() -> Iterator[Nursery]:
    with nursery() as kept:
        yield kept


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A directory in memory where there is such a place: SIGKILL loses nothing that was written, disk or not."""
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="yamori-crash-", dir=MEMORY if in_memory else None) as place:
        yield Path(place)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was opened once: making it anew for every crash would take most of the time."""
    state = tmp_path_factory.mktemp("fresh") / "state"

    async def make() -> None:
        await (await open_store(state)).close()

    asyncio.run(make())
    return state
