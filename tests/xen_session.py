"""One real Xen host for each file of tests, with the agent in its dom0, and what its guests can be told to do.

Not for the whole run: an emulated machine that nobody needs any more makes the next ones late.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import libvirt
import pytest

from tests.agent.functions.lab_flood import Flood
from tests.gate import Gate, gate
from tests.lab_session import settings_of, why_not
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.lab.xen.agent import XenAgent, passage_of
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed
from yamori.model.ids import EndpointName, VMId
from yamori.testing.conformance.patience import Eventually

HOST, PV, PVH = "xen-a", "vm-x1", "vm-x2"
PATIENT = {"timeouts": {"connect_s": 60, "read_s": 60, "act_s": 180}}
"""An emulated machine that shares two cores with others answers late."""
PATIENCE_SECONDS = 240.0
ATTACK_SECONDS = 240
BALLOON_SECONDS = 60.0
PVH_OWN_KIB = 8 << 10
"""What a PVH guest may hold beside what its balloon counts."""


@pytest.fixture(scope="module")
def xen(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One Xen host with a paravirtual and a PVH guest; the lab named by ``--lab`` if it has one."""
    present = request.config.getoption("--lab")
    if present is not None and Lab.open(present).spec.xen_hosts:
        yield Lab.open(present)
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(f"NO LAB ON THIS MACHINE: {reason}")
    name = f"xenkit-{os.getpid()}"
    try:
        yield asyncio.run(Lab.up(LabSpec(name=name, hosts=0, xen_hosts=1, xen_guests_per_host=2, xen_pvh=(PVH,))))
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture(scope="module")
def host(xen: Lab) -> XenHost:
    return xen.xen_host(HOST)


@pytest.fixture(scope="module")
def door(xen: Lab, host: XenHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Where the agent in dom0 is connected."""
    host.refresh_source()
    agent = XenAgent(host, passage=passage_of(host, [host]))
    with gate(tmp_path_factory.mktemp("gate"), f"{xen.layout.root_address}:8471") as opened:
        opened.bring(HOST, agent)
        yield opened
        agent.kill()


async def open_session(lab: Lab, *, agent: bool = True) -> Session:
    """Open what libvirt itself offers. Where the host has an agent, its file says that agents carry moves."""
    way = {"migrate_to": {"passage": "agent"}} if agent else {}
    return await DRIVER.connect(EndpointName(HOST), settings_of(lab, HOST, **PATIENT, **way))


class XenLoad:
    """Tells the software in a guest what to do."""

    def __init__(self, lab: Lab, host: XenHost, name: str) -> None:
        self._lab = lab
        self._host = host
        self._name = name
        self.flood: Flood | None = None

    async def burn(self, vm: VMId, resource: str) -> None:
        """Begin, once the guest is up. One that came up without its card cannot be told to: again."""
        if resource == "network":
            await self.burn(vm, "cpu")  # it is up, and has its card
            await self._lab.stop_attack(self._name)
            self.flood = Flood(self._lab, self._lab.guest(self._name), packets_s=400)
            self.flood.start()
            return
        for _ in range(4):
            deadline = time.monotonic() + PATIENCE_SECONDS / 4
            while time.monotonic() < deadline:
                with contextlib.suppress(Failed):
                    await self._lab.attack(self._name, AttackKind(resource), seconds=ATTACK_SECONDS)
                    return
                await asyncio.sleep(1.0)
            await asyncio.to_thread(bring_back, self._host, vm, anew=True)
        raise AssertionError(f"{self._name} does not obey")

    async def rest(self, vm: VMId) -> None:
        if self.flood is not None:
            await asyncio.to_thread(self.flood.stop)
            self.flood = None
        await self._lab.stop_attack(self._name)


class Whole:
    """One guest of one host; it runs, free of limits, before each test."""

    guest = PV

    @pytest.fixture
    def vm(self, xen: Lab, host: XenHost) -> VMId:
        vm = VMId(xen.guest(self.guest).uuid)
        bring_back(host, vm)
        return vm

    @pytest.fixture
    async def session(self, xen: Lab, door: Gate) -> AsyncIterator[Session]:
        session = door.joined(HOST, await open_session(xen))
        await session.probe()
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, xen: Lab, door: Gate) -> AsyncIterator[Session]:
        session = door.joined(HOST, await open_session(xen))
        await session.probe()
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually(tries=900)  # three minutes

    @pytest.fixture
    def load(self, xen: Lab, host: XenHost) -> Iterator[XenLoad]:
        made = XenLoad(xen, host, self.guest)
        yield made
        if made.flood is not None:
            made.flood.stop()


def row_of(host: XenHost, name: str) -> dict[str, Any]:
    """What `xl list` says of a guest."""
    for line in host.run(["xl", "list"], timeout_seconds=60).splitlines()[1:]:
        told = line.split()
        if told[0] == name:
            return {"memory_mib": int(told[2]), "state": told[4], "cpu_s": float(told[5])}
    raise AssertionError(f"Xen has no domain {name}")


async def share(host: XenHost, name: str, *, seconds: float = 8.0) -> float:
    """Cores that a guest used meanwhile, by Xen's own count, over dom0's clock."""
    told = await asyncio.to_thread(
        host.run,
        ["sh", "-c", f"xl list {name}; cat /proc/uptime; sleep {seconds}; xl list {name}; cat /proc/uptime"],
        timeout_seconds=120,
    )
    lines = [line.split() for line in told.splitlines()]
    spent = [float(line[5]) for line in lines if line[0] == name]
    clock = [float(line[0]) for line in lines if len(line) == 2]
    return (spent[1] - spent[0]) / (clock[1] - clock[0])


def bring_back(host: XenHost, vm: VMId, *, anew: bool = False) -> None:
    """Have a guest run, with nothing set, whatever the last test did to it or to libvirtd."""
    start_event_loop()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            link = libvirt.open(host.local_uri)
            try:
                domain = link.lookupByUUIDString(vm)
                if anew and domain.isActive():
                    domain.destroy()
                _restore(domain)
            finally:
                link.close()
        except libvirt.libvirtError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return


def _restore(domain: Any) -> None:
    code = domain.state()[0]
    if code not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_SHUTOFF):
        domain.destroy()
    if not domain.isActive():
        domain.create()
    if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()
    domain.setSchedulerParametersFlags({"cap": 0, "weight": 256}, 0)
    most = domain.maxMemory()
    if domain.info()[2] < most:
        domain.setMemoryFlags(most, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    deadline = time.monotonic() + BALLOON_SECONDS
    while domain.info()[2] < most - PVH_OWN_KIB and time.monotonic() < deadline:
        time.sleep(0.2)  # a guest takes its memory back at its own pace; one that still boots takes none
