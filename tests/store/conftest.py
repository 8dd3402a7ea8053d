"""A store for each test, over each engine. Another database is one more parameter here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.samples import SteppedClock
from yamori.store import Store, open_store

URLS = {"sqlite": None}
"""Name of the engine → URL of an empty database, None for the file in the state directory."""

Opener = Callable[[], Awaitable[Store]]


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest) -> str | None:
    return URLS[request.param]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def opener(state_dir: Path, url: str | None, clock: SteppedClock) -> AsyncIterator[Opener]:
    opened: list[Store] = []

    async def make() -> Store:
        opened.append(await open_store(state_dir, clock=clock, url=url))
        return opened[-1]

    yield make
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opener: Opener) -> Store:
    return await opener()
