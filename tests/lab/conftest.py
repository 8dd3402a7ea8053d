"""A lab of their own for the tests of the lab, which crash hosts and cut links; made once."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("the real lab needs root")
    name = f"own-{os.getpid()}"
    running = asyncio.run(Lab.up(LabSpec(name=name, guests_per_host=2, guest_memory_mib=256)))
    try:
        yield running
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture
async def quiet(lab: Lab) -> AsyncIterator[Lab]:
    """The lab, with every attack ended and every accident mended when the test is over."""
    yield lab
    for host in lab.hosts.values():
        lab.heal_link(host.name)
        if host.running():
            host.thaw()
    for guest in lab.guests:
        await lab.stop_attack(guest)
