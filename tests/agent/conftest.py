"""A controller that listens for agents, fresh for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.fleet import Controller, controlling


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Controller]:
    async with controlling(tmp_path / "controller") as made:
        yield made
