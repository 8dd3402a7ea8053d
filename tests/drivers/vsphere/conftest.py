"""Sessions to the simulated vCenter and to fake servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drivers.vsphere.by_hand import VCenterByHand
from yamori.drivers.vsphere.session import VSphereSession
from yamori.drivers.vsphere.settings import VSphereSettings
from yamori.lab.vsphere import VCenter
from yamori.model.ids import EndpointName

Connect = Callable[..., VSphereSession]


def settings_of(vcenter: VCenter, **more: Any) -> VSphereSettings:
    given = {key: value for key, value in vcenter.endpoint().items() if key not in ("name", "driver")}
    return VSphereSettings.model_validate(given | more)


async def until(question: Callable[[], Awaitable[bool]], what: str, seconds: float = 60.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await question():
        assert loop.time() < deadline, f"not in {seconds:g} s: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens sessions, and closes them after the test."""
    made: list[VSphereSession] = []

    def open_one(settings: VSphereSettings) -> VSphereSession:
        session = VSphereSession(EndpointName("vc"), settings)
        made.append(session)
        return session

    yield open_one
    for session in made:
        await session.close()


@pytest.fixture
async def session(connect: Connect, vcenter: VCenter) -> VSphereSession:
    return connect(settings_of(vcenter))


@pytest.fixture
def by_hand(vcenter: VCenter) -> Iterator[VCenterByHand]:
    made = VCenterByHand(vcenter)
    yield made
    made.close()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("not to be seen\n")
    path.chmod(0o600)
    return path
