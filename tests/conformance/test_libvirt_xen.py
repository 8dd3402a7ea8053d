"""A real Xen behind real libvirt, joined with the agent in its dom0, keeps the kit's promises.

What is not marked ``full`` runs in every CI run: all of it is there, is read, and what is set has effect.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.xen_session import PV, PVH, Whole, XenLoad, open_session, row_of, share
from yamori.capabilities.sensing.usage import Usage
from yamori.capabilities.session import Session
from yamori.lab.lab import Lab
from yamori.lab.xen.host import XenHost
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import VM, PowerState
from yamori.testing.conformance.changes import ChangesContract
from yamori.testing.conformance.contract import EFFECT, Contract, Record, proves
from yamori.testing.conformance.effects import EffectsContract, Load
from yamori.testing.conformance.expiry import ExpiryContract
from yamori.testing.conformance.inventory import InventoryContract
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.pinning import PinningContract
from yamori.testing.conformance.power import PowerContract
from yamori.testing.conformance.support import SupportContract
from yamori.testing.conformance.usage import UsageContract

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.timeout(1200)]


class TestInventory(Whole, InventoryContract): ...


@pytest.mark.full
class TestInventoryOfPvh(Whole, InventoryContract):
    guest = PVH


@pytest.mark.full
class TestChanges(Whole, ChangesContract): ...


class TestUsage(Whole, UsageContract): ...


@pytest.mark.full
class TestLimits(Whole, LimitsContract):
    def samples(self, kind: LimitKind, vm: VM) -> tuple[float, float]:
        """A guest of 128 MiB cannot give up half: 88 MiB is what this one needs."""
        if kind is LimitKind.MEMORY:
            return vm.memory_max_bytes * 0.875, vm.memory_max_bytes * 0.75
        return super().samples(kind, vm)


@pytest.mark.full
class TestLimitsOfPvh(TestLimits):
    guest = PVH


@pytest.mark.full
class TestPinning(Whole, PinningContract): ...


@pytest.mark.full
class TestPower(Whole, PowerContract): ...


@pytest.mark.full
class TestPowerOfPvh(Whole, PowerContract):
    guest = PVH


@pytest.mark.full
class TestExpiry(Whole, ExpiryContract):
    short_s = 12.0


@pytest.mark.full
class TestEffects(Whole, EffectsContract):
    @pytest.fixture
    def eventually(self) -> Eventually:
        async def pause() -> None:
            await asyncio.sleep(1.0)

        return Eventually(pause=pause, pause_s=1.0, tries=120)

    async def spent(self, kind: LimitKind, usage: Usage, vm: VMId, load: Load, eventually: Eventually) -> float:
        """Dom0 counts what comes out of a guest before it is bounded: what arrived is asked of the receiver."""
        if kind is not LimitKind.NET_OUT:
            return await super().spent(kind, usage, vm, load, eventually)
        assert isinstance(load, XenLoad)
        assert load.flood is not None
        return await asyncio.to_thread(load.flood.answered_per_s, 4.0)


class TestSupport(Whole, SupportContract): ...


@pytest.mark.full
class TestSupportWithoutTheAgent(Whole, SupportContract):
    variant = None  # an operator of Xen has the agent: what is without it is told by the cells' reasons

    @pytest.fixture
    async def session(self, xen: Lab) -> AsyncIterator[Session]:
        session = await open_session(xen, agent=False)
        yield session
        await session.close()


class TestXen(Whole, Contract):
    """What Xen itself says of what the driver does: `xl` in dom0 knows nothing of libvirt."""

    feature = "limits"

    async def test_dom0_is_no_vm(self, session: Session, vm: VMId) -> None:
        names = {each.name for each in (await session.sensing.inventory.read()).vms}
        assert names == {PV, PVH}

    async def test_a_cap_bounds_the_cpu_time_that_xen_counts(
        self,
        host: XenHost,
        session: Session,
        vm: VMId,
        load: XenLoad,
        record_property: Record,
    ) -> None:
        proves(record_property, "limits.cpu_cap", EFFECT)
        assert session.acting.limits is not None

        async def held() -> bool:
            return 0.2 <= await share(host, self.guest) <= 0.3

        async def free() -> bool:
            return await share(host, self.guest) >= 0.4

        in_some_windows = Eventually(tries=8)  # of eight seconds each: another machine's work may spoil one
        await load.burn(vm, "cpu")
        try:
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.25})
            await in_some_windows(held, "Xen counts within 5 points of the cap")
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: None})
            await in_some_windows(free, "the guest is free again")
        finally:
            await load.rest(vm)

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


@pytest.mark.full
class TestXenOfPvh(TestXen):
    guest = PVH
