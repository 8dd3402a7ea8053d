"""One lab for a whole test run, shared by all tests marked ``lab``, taken down at the end."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.by_hand import ByHand
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.model.errors import YamoriError

HOSTS = 2
GUESTS_PER_HOST = 2
"""The first of a host has its disk on the shared array, the last in a file of its host."""
NEEDED = ("libvirtd", "qemu-system-x86_64", "ip", "nsenter", "unshare")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab", metavar="NAME", help="use this lab, which is up, instead of making one")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Two libvirt hosts with two guests each. Skips only where the machine truly cannot."""
    present = request.config.getoption("--lab")
    if present is not None:
        yield Lab.open(present)
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(f"NO LAB ON THIS MACHINE: {reason}")
    name = f"test-{os.getpid()}"
    spec = LabSpec(name=name, hosts=HOSTS, guests_per_host=GUESTS_PER_HOST, host_cpus=os.cpu_count() or 1)
    made = asyncio.run(Lab.up(spec))
    try:
        yield made
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture(scope="session")
def by_hand(lab: Lab) -> ByHand:
    """The lab behind the driver's back."""
    return ByHand(lab)


def why_not() -> str | None:
    """Say what this machine lacks for a lab, None when nothing."""
    if os.geteuid() != 0:
        return "it needs root"
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [program for program in NEEDED if shutil.which(program, path=path) is None]
    return f"{', '.join(missing)} not installed" if missing else None


def settings_of(lab: Lab, host: str, **more: Any) -> LibvirtSettings:
    """The driver's settings for one host of the lab, as the lab's own fleet configuration has them."""
    for endpoint in lab.fleet_config()["endpoints"]:
        if endpoint["name"] == host:
            told = {key: value for key, value in endpoint.items() if key not in {"name", "driver"}}
            shared = {"shared_paths": (str(lab.layout.fabric),)}
            return LibvirtSettings(**(told | shared | more))
    raise YamoriError(f"the lab has no host {host}")
