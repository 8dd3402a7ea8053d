"""Two real Xen hosts: their guests brought home, what passes between them, how long a guest is silent."""

import asyncio
import contextlib
import itertools
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import libvirt

from tests.gate import Gate
from tests.lab_session import settings_of
from tests.xen_session import PATIENT, bring_back
from yamori.agent.joined import JoinedSession
from yamori.drivers.libvirt import DRIVER
from yamori.lab import wire
from yamori.lab.lab import Lab
from yamori.lab.network import NETNS_ROOT
from yamori.lab.xen.domain import SLICES
from yamori.lab.xen.host import XenHost
from yamori.model.ids import EndpointName, VMId

HOME, AWAY = "xen-a", "xen-b"
MARKERS = (b"Linux version ", b"guest-tool")
"""Words that are in the memory of every guest of the lab."""


@contextlib.asynccontextmanager
async def opened(lab: Lab, door: Gate, name: str) -> AsyncIterator[JoinedSession]:
    """A session to one host as an operator has it: libvirt, joined with the agent."""
    settings = settings_of(lab, name, **PATIENT, migrate_to={"passage": "agent"}, shared_paths=(SLICES,))
    session = door.joined(name, await DRIVER.connect(EndpointName(name), settings))
    await session.probe()
    try:
        yield session
    finally:
        await session.close()


def bring_home(lab: Lab, vm: VMId, definition: str) -> None:
    """Have a guest run at home and nowhere else, whatever the last test did to it."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with linked(lab.xen_host(AWAY)) as link:
                for each in guests_of(link):
                    if each.UUIDString() == vm:
                        if each.isActive():
                            each.destroy()
                        with contextlib.suppress(libvirt.libvirtError):  # a transient one is gone already
                            each.undefine()
            with linked(lab.xen_host(HOME)) as link:
                if vm not in {each.UUIDString() for each in guests_of(link)}:
                    link.defineXML(definition)
        except libvirt.libvirtError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2.0)
        else:
            break
    bring_back(lab.xen_host(HOME), vm)


@contextlib.contextmanager
def linked(host: XenHost) -> Iterator[Any]:
    link = libvirt.open(host.local_uri)
    try:
        yield link
    finally:
        link.close()


def guests_of(link: Any) -> list[Any]:
    return [each for each in link.listAllDomains() if each.ID() != 0]


def in_memory(host: XenHost, guest: str) -> dict[bytes, int]:
    """How often the markers are in a guest's memory, as Xen dumps it; of a PVH one that never ends."""
    dump = "/var/tmp/memory"
    host.run(["sh", "-c", f"timeout 60 xl dump-core {guest} {dump} || true"], timeout_seconds=120)
    try:
        return {
            marker: int(
                host.run(["sh", "-c", f"grep -a -c '{marker.decode()}' {dump} || true"], timeout_seconds=120)
            )
            for marker in MARKERS
        }
    finally:
        host.run(["rm", "-f", dump])


@contextlib.contextmanager
def captured(lab: Lab, host: str, path: Path) -> Iterator[Path]:
    """All that passes a host's management wire meanwhile, seen from the switch."""
    space = NETNS_ROOT / lab.layout.switch_namespace
    command = ["tcpdump", "-i", f"m-{host}", "-s", "0", "-U", "-B", "65536", "-w", str(path), "-Z", "root"]
    with subprocess.Popen(["nsenter", f"--net={space}", *command], stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        said = b""
        while b"listening" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        try:
            yield path
        finally:
            running.terminate()
            said = running.stderr.read()
    assert b"\n0 packets dropped by kernel" in said, said


def answers(lab: Lab, guest: str) -> bool:
    work = wire.Work(iterations=1000, pages=4, blocks=0)
    return wire.ask(lab.layout.switch_namespace, lab.guest_address(guest), work) is not None


@contextlib.asynccontextmanager
async def silence(lab: Lab, guest: str) -> AsyncIterator[Any]:
    """Ask a guest again and again; the longest time without an answer, one that lasts at the end included."""
    heard = [time.monotonic()]
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            if await asyncio.to_thread(answers, lab, guest):
                heard.append(time.monotonic())
            await asyncio.sleep(0.25)

    asking = asyncio.create_task(ask())
    try:
        yield lambda: max(b - a for a, b in itertools.pairwise(heard))
    finally:
        over.set()
        await asking
        heard.append(time.monotonic())
