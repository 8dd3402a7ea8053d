"""A real Xen behind real libvirt keeps the kit's promises, by what libvirt itself offers: no agent beside it.

Sessions come from `open_session` alone, so that the same classes can speak for Xen and its agent joined.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import libvirt
import pytest

from tests.lab_session import settings_of, why_not
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import VM, PowerState
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.contract import EFFECT, Contract, Record, proves
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(1200)]

HOST, PV, PVH = "xen-a", "vm-x1", "vm-x2"
PATIENT = {"timeouts": {"connect_s": 60, "read_s": 60, "act_s": 180}}
"""An emulated machine that shares two cores with others answers late."""
PATIENCE_SECONDS = 240.0


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def host(xen: Lab) -> XenHost:
    return xen.xen_host(HOST)


async def open_session(lab: Lab) -> Session:
    return await DRIVER.connect(EndpointName(HOST), settings_of(lab, HOST, **PATIENT))


class Whole:
    """One guest of one host; it runs, free of limits, before each test."""

    guest = PV

    @pytest.fixture
    def vm(self, xen: Lab, host: XenHost) -> VMId:
        vm = VMId(xen.guest(self.guest).uuid)
        bring_back(host, vm)
        return vm

    @pytest.fixture
    async def session(self, xen: Lab) -> AsyncIterator[Session]:
        session = await open_session(xen)
        yield session
        await session.close()

    @pytest.fixture
    async def second(self, xen: Lab) -> AsyncIterator[Session]:
        session = await open_session(xen)
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually(tries=900)  # three minutes


class TestInventory(Whole, InventoryContract): ...


class TestInventoryOfPvh(Whole, InventoryContract):
    guest = PVH


class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


class TestLimits(Whole, LimitsContract):
    def samples(self, kind: LimitKind, vm: VM) -> tuple[float, float]:
        """A guest of 128 MiB cannot give up half: 88 MiB is what this one needs."""
        if kind is LimitKind.MEMORY:
            return vm.memory_max_bytes * 0.875, vm.memory_max_bytes * 0.75
        return super().samples(kind, vm)


class TestLimitsOfPvh(TestLimits):
    guest = PVH


class TestPinning(Whole, PinningContract): ...


class TestPower(Whole, PowerContract): ...


class TestPowerOfPvh(Whole, PowerContract):
    guest = PVH


class TestSupport(Whole, SupportContract): ...


class TestXen(Whole, Contract):
    """What Xen itself says of what the driver does: `xl` in dom0 knows nothing of libvirt."""

    feature = "limits"

    async def test_dom0_is_no_vm(self, session: Session, vm: VMId) -> None:
        names = {each.name for each in (await session.sensing.inventory.read()).vms}
        assert names == {PV, PVH}

    async def test_a_cap_bounds_the_cpu_time_that_xen_counts(
        self,
        xen: Lab,
        host: XenHost,
        session: Session,
        vm: VMId,
        record_property: Record,
    ) -> None:
        proves(record_property, "limits.cpu_cap", EFFECT)
        assert session.acting.limits is not None

        await self._burn(xen, host, vm)
        try:
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.25})
            assert await share(host, self.guest) <= 0.25 * 1.2
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: None})
            assert await share(host, self.guest) >= 0.25 * 1.6
        finally:
            await xen.stop_attack(self.guest)

    async def _burn(self, xen: Lab, host: XenHost, vm: VMId) -> None:
        """Let the guest burn CPU, once it is up. One that came up without its card cannot be told to: again."""
        for _ in range(4):
            deadline = time.monotonic() + PATIENCE_SECONDS / 4
            while time.monotonic() < deadline:
                with contextlib.suppress(Failed):
                    await xen.attack(self.guest, AttackKind.CPU, seconds=240)
                    return
                await asyncio.sleep(1.0)
            await asyncio.to_thread(bring_back, host, vm, anew=True)
        raise AssertionError(f"{self.guest} does not obey")

    async def test_a_memory_limit_takes_memory_that_xen_counts(
        self, host: XenHost, session: Session, vm: VMId, eventually: Eventually, record_property: Record
    ) -> None:
        proves(record_property, "limits.memory", EFFECT)
        assert session.acting.limits is not None
        for target in (104 << 20, None):
            await session.acting.limits.set(vm, {LimitKind.MEMORY: target})

            async def holds(target: int | None = target) -> bool:
                held_mib = (await asyncio.to_thread(row_of, host, self.guest))["memory_mib"]
                return abs(held_mib - (128 if target is None else target >> 20)) <= 5

            await eventually(holds, f"the guest holds {target}")

    async def test_a_paused_vm_is_paused_in_xen_and_spends_nothing(
        self, host: XenHost, session: Session, vm: VMId, record_property: Record
    ) -> None:
        proves(record_property, "power", EFFECT)
        assert session.acting.power is not None
        await session.acting.power.pause(vm)
        assert "p" in row_of(host, self.guest)["state"]
        assert await share(host, self.guest, seconds=3) == 0.0
        await session.acting.power.resume(vm)
        assert (await session.sensing.inventory.vm(vm)).state is PowerState.RUNNING
        assert "p" not in row_of(host, self.guest)["state"]


class TestXenOfPvh(TestXen):
    guest = PVH


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
