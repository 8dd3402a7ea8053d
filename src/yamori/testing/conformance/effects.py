"""Proof by effect: what a VM then really does. Needs a VM whose software obeys the test (a `Load`)."""

from typing import ClassVar, Protocol

import pytest
import pytest_asyncio

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.sensing.usage import Column, Usage
from yamori.capabilities.session import Session
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Support
from yamori.testing.conformance.contract import EFFECT, Contract, Record, need, proves
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.usage import row_of

RATES: dict[LimitKind, tuple[str, tuple[Column, ...]]] = {
    LimitKind.CPU_CAP: ("cpu", (Column.CPU_TIME,)),
    LimitKind.DISK_IOPS: ("disk", (Column.DISK_READ_OPS, Column.DISK_WRITE_OPS)),
    LimitKind.DISK_BANDWIDTH: ("disk", (Column.DISK_READ_BYTES, Column.DISK_WRITE_BYTES)),
    LimitKind.NET_IN: ("network", (Column.NET_RX_BYTES,)),
    LimitKind.NET_OUT: ("network", (Column.NET_TX_BYTES,)),
}
"""For each limit on a rate: which load meets it, and the counters whose growth it bounds."""
TIGHT = 0.25
"""The limit that is set, as a fraction of what the VM uses unbounded."""
OVERSHOOT = 1.4
"""What a limited VM may use for a moment, relative to its limit."""
BACK = 0.5
"""What it must reach again once the limit is lifted, relative to what it used before."""


class Load(Protocol):
    """What the test's VM can be told to do: ``cpu``, ``memory``, ``disk`` or ``network``, as hard as it can."""

    async def burn(self, vm: VMId, resource: str) -> None:
        """Begin."""
        ...

    async def rest(self, vm: VMId) -> None:
        """Stop all of it."""
        ...


class EffectsContract(Contract):
    """Limits and power seen in the counters. Further fixture: ``load``, a ``Load`` for the VM."""

    feature: ClassVar[str] = "limits"
    proof: ClassVar[str] = EFFECT

    @pytest_asyncio.fixture
    async def usage(self, session: Session, support: Support) -> Usage:
        """Effects are read from the counters."""
        need(support, "usage")
        assert session.sensing.usage is not None
        return session.sensing.usage

    @pytest_asyncio.fixture
    async def kind(self, request: pytest.FixtureRequest, support: Support, record_property: Record) -> LimitKind:
        """Each limit on a rate that the endpoint claims."""
        kind = LimitKind(request.param)
        proves(record_property, f"limits.{kind}", EFFECT)
        need(support, f"limits.{kind}")
        return kind

    async def spent(self, kind: LimitKind, usage: Usage, vm: VMId, load: Load, eventually: Eventually) -> float:
        """How much of what ``kind`` bounds the VM uses per second, by its counters.

        Where a host counts what a VM offers and not what then passes, the driver's test asks the receiver instead.
        """
        return await self._rate(usage, vm, RATES[kind][1], eventually)

    async def _rate(self, usage: Usage, vm: VMId, columns: tuple[Column, ...], eventually: Eventually) -> float:
        before = await usage.read()
        for _ in range(4):
            await eventually.moment()
        after = await usage.read()
        seconds = float(after.read_at.max() - before.read_at.max())
        grown = float((row_of(after, vm) - row_of(before, vm))[list(columns)].sum())
        return grown / seconds if seconds > 0 else 0.0

    @pytest.mark.parametrize("kind", list(RATES), indirect=True)
    async def test_a_limit_bounds_what_the_vm_does_and_lifting_it_frees_the_vm(
        self, session: Session, usage: Usage, kind: LimitKind, vm: VMId, load: Load, eventually: Eventually
    ) -> None:
        writer = _writer(session)
        resource, columns = RATES[kind]
        await load.burn(vm, resource)
        for _ in range(4):
            await eventually.moment()
        free = await self.spent(kind, usage, vm, load, eventually)
        assert free > 0, f"the load does not move {[c.name for c in columns]}: nothing can be proven"
        bound = free * TIGHT
        await writer.set(vm, {kind: bound})

        async def bounded() -> bool:
            return await self.spent(kind, usage, vm, load, eventually) <= bound * OVERSHOOT

        await eventually(bounded, f"the VM keeps to {bound} of {kind}")
        await writer.set(vm, {kind: None})

        async def back() -> bool:
            return await self.spent(kind, usage, vm, load, eventually) >= free * BACK

        await eventually(back, f"the VM is back at {free} once {kind} is lifted")
        await load.rest(vm)

    async def test_a_memory_limit_takes_memory_from_the_guest(
        self,
        session: Session,
        usage: Usage,
        support: Support,
        vm: VMId,
        load: Load,
        eventually: Eventually,
        record_property: Record,
    ) -> None:
        proves(record_property, "limits.memory", EFFECT)
        need(support, "limits.memory")
        writer = _writer(session)
        largest = (await session.sensing.inventory.vm(vm)).memory_max_bytes
        target = largest * 0.75
        await writer.set(vm, {LimitKind.MEMORY: target})

        async def smaller() -> bool:
            return float(row_of(await usage.read(), vm)[Column.MEMORY_ASSIGNED]) <= target * 1.05

        await eventually(smaller, f"the guest has {target} bytes")
        await writer.set(vm, {LimitKind.MEMORY: None})

        async def back() -> bool:
            return float(row_of(await usage.read(), vm)[Column.MEMORY_ASSIGNED]) >= largest * 0.95

        await eventually(back, "the guest has all its memory back")

    async def test_a_paused_vm_uses_no_cpu(
        self,
        session: Session,
        usage: Usage,
        support: Support,
        vm: VMId,
        load: Load,
        eventually: Eventually,
        record_property: Record,
    ) -> None:
        proves(record_property, "power", EFFECT)
        need(support, "power")
        power = session.acting.power
        assert power is not None
        await load.burn(vm, "cpu")
        await eventually.moment()
        await power.pause(vm)
        await eventually.moment()
        before = await usage.read()
        for _ in range(5):
            await eventually.moment()
        after = await usage.read()
        if vm in before.vms and vm in after.vms:
            spent = float((row_of(after, vm) - row_of(before, vm))[Column.CPU_TIME])
            elapsed = float(after.read_at.max() - before.read_at.max())
            # The hypervisor's own threads may run on for a little.
            assert not spent > 0.2 * elapsed, f"a paused VM used {spent} s of CPU in {elapsed} s"
        await power.resume(vm)

        async def goes_on() -> bool:
            return await self._rate(usage, vm, (Column.CPU_TIME,), eventually) > 0

        await eventually(goes_on, "the resumed VM uses CPU again")


def _writer(session: Session) -> LimitsWriter:
    assert session.acting.limits is not None
    return session.acting.limits
