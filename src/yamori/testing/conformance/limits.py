"""What `capabilities/sensing/limits.py` and `capabilities/acting/limits.py` promise."""

import asyncio
import math
from collections.abc import Mapping
from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.capabilities.session import Session
from yamori.model.errors import Conflict, Invalid, NotFound, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.support import Support
from yamori.model.vm import VM
from yamori.testing.conformance.contract import (
    UNKNOWN_IDS,
    Contract,
    Record,
    assert_explained,
    need,
    present,
    proves,
)
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.values import assert_ours

CLOSE = 0.02
"""Hypervisors keep limits in units of their own: what is read back may differ by this fraction."""
KINDS = tuple(LimitKind)
SENSELESS = (-1.0, 0.0, math.nan, math.inf, -math.inf)


def near(seen: float | None, asked: float) -> bool:
    """Say whether a value that was read back is the one that was asked for."""
    return seen is not None and math.isclose(seen, asked, rel_tol=CLOSE)


def lifted(kind: LimitKind, seen: float | None, vm: VM) -> bool:
    """Say whether a value means "no limit": a weight of 1, all of the VM's memory, else None."""
    if seen is None:
        return True
    if kind is LimitKind.CPU_WEIGHT:
        return math.isclose(seen, 1.0, rel_tol=CLOSE)
    return kind is LimitKind.MEMORY and seen >= vm.memory_max_bytes * (1 - CLOSE)


class LimitsContract(Contract):
    """What one VM may use: set live, read back from the hypervisor. ``second`` is another session to it."""

    feature: ClassVar[str] = "limits"

    def samples(self, kind: LimitKind, vm: VM) -> tuple[float, float]:
        """Return two different values that make sense for a VM. A driver's test may know better ones."""
        return {
            LimitKind.CPU_CAP: (0.5, 0.25),
            LimitKind.CPU_WEIGHT: (0.5, 2.0),
            LimitKind.MEMORY: (vm.memory_max_bytes * 0.75, vm.memory_max_bytes * 0.5),
            LimitKind.DISK_IOPS: (200.0, 100.0),
            LimitKind.DISK_BANDWIDTH: (8e6, 4e6),
            LimitKind.NET_IN: (2_048_000.0, 1_024_000.0),
            LimitKind.NET_OUT: (2_048_000.0, 1_024_000.0),
        }[kind]

    @pytest_asyncio.fixture
    async def reader(self, session: Session) -> LimitsReader:
        """The reading side, where it is."""
        if session.sensing.limits is None:
            pytest.skip("absent: limits cannot be read")
        return session.sensing.limits

    @pytest_asyncio.fixture
    async def writer(self, session: Session, reader: LimitsReader) -> LimitsWriter:
        """The changing side, where it is, together with the reading side: what is set must be read back."""
        if session.acting.limits is None:
            pytest.skip("absent: limits cannot be set")
        return session.acting.limits

    @pytest_asyncio.fixture
    async def kind(self, request: pytest.FixtureRequest, support: Support, record_property: Record) -> LimitKind:
        """Each kind that the endpoint claims."""
        kind = LimitKind(request.param)
        proves(record_property, f"limits.{kind}")
        need(support, f"limits.{kind}")
        return kind

    @pytest_asyncio.fixture
    async def missing(
        self, request: pytest.FixtureRequest, support: Support, record_property: Record
    ) -> LimitKind:
        """Each kind that the endpoint does not claim."""
        kind = LimitKind(request.param)
        proves(record_property, f"limits.{kind}")
        if present(support, f"limits.{kind}"):
            pytest.skip(f"present: limits.{kind}")
        return kind

    async def _seen(self, reader: LimitsReader, vm: VMId, kind: LimitKind) -> float | None:
        limits = await reader.read(vm)
        assert kind in limits.values, f"{kind} is claimed, yet not read: {limits.unknown.get(kind)}"
        return limits.values[kind]

    async def _becomes(
        self, reader: LimitsReader, vm: VMId, kind: LimitKind, asked: float, eventually: Eventually
    ) -> None:
        async def so() -> bool:
            return near(await self._seen(reader, vm, kind), asked)

        await eventually(so, f"{kind} is read back as {asked}")

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        features = [*(f"limits.{kind}" for kind in KINDS), "limits.cpu_pinning"]
        if session.acting.limits is None:
            for feature in features:
                assert_explained(support.cells[feature], feature)
        else:
            assert session.sensing.limits is not None, "what can be set must be read back"
            assert any(present(support, feature) for feature in features)

    async def test_each_kind_is_either_known_or_its_absence_explained(
        self, reader: LimitsReader, vm: VMId, support: Support
    ) -> None:
        limits = await reader.read(vm)
        assert set(limits.values) | set(limits.unknown) == set(KINDS)
        assert not set(limits.values) & set(limits.unknown)
        assert all(why.strip() for why in limits.unknown.values())
        assert all(kind in limits.values for kind in KINDS if present(support, f"limits.{kind}"))

    @pytest.mark.parametrize("kind", KINDS, indirect=True)
    async def test_what_is_set_is_read_back(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        kind: LimitKind,
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        for value in self.samples(kind, await session.sensing.inventory.vm(vm)):
            await writer.set(vm, {kind: value})
            await self._becomes(reader, vm, kind, value, eventually)

    @pytest.mark.parametrize("kind", KINDS, indirect=True)
    async def test_setting_twice_is_the_same_as_once_and_lifting_too(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        kind: LimitKind,
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        value, _ = self.samples(kind, await session.sensing.inventory.vm(vm))
        for _ in range(2):
            await writer.set(vm, {kind: value})
            await self._becomes(reader, vm, kind, value, eventually)
        for _ in range(2):
            await writer.set(vm, {kind: None})
            shape = await session.sensing.inventory.vm(vm)

            async def free(shape: VM = shape) -> bool:
                return lifted(kind, await self._seen(reader, vm, kind), shape)

            await eventually(free, f"{kind} is lifted")

    @pytest.mark.parametrize("kind", KINDS, indirect=True)
    async def test_what_another_hand_has_set_is_what_is_read(
        self,
        session: Session,
        second: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        kind: LimitKind,
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        assert second.acting.limits is not None
        ours, theirs = self.samples(kind, await session.sensing.inventory.vm(vm))
        await writer.set(vm, {kind: ours})
        await self._becomes(reader, vm, kind, ours, eventually)
        await second.acting.limits.set(vm, {kind: theirs})
        await self._becomes(reader, vm, kind, theirs, eventually)

    async def test_kinds_that_are_not_named_stay_as_they_are(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        support: Support,
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        shape = await session.sensing.inventory.vm(vm)
        asked: dict[LimitKind, float] = {}
        for kind in KINDS:
            if present(support, f"limits.{kind}"):
                asked[kind], _ = self.samples(kind, shape)
                await writer.set(vm, {kind: asked[kind]})
        for kind, value in asked.items():
            await self._becomes(reader, vm, kind, value, eventually)

    async def test_two_who_set_different_kinds_at_once_both_succeed(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        support: Support,
        vm: VMId,
        eventually: Eventually,
    ) -> None:
        shape = await session.sensing.inventory.vm(vm)
        asked = {k: self.samples(k, shape)[1] for k in KINDS if present(support, f"limits.{k}")}
        await asyncio.gather(*(writer.set(vm, {kind: value}) for kind, value in asked.items()))
        for kind, value in asked.items():
            await self._becomes(reader, vm, kind, value, eventually)

    @pytest.mark.parametrize("missing", KINDS, indirect=True)
    async def test_what_is_not_claimed_is_refused_before_anything_is_changed(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        support: Support,
        missing: LimitKind,
        vm: VMId,
    ) -> None:
        shape = await session.sensing.inventory.vm(vm)
        before = await reader.read(vm)
        mixed: dict[LimitKind, float | None] = {
            kind: self.samples(kind, shape)[0] for kind in KINDS if present(support, f"limits.{kind}")
        }
        mixed[missing] = self.samples(missing, shape)[0]
        with pytest.raises(Unsupported) as refusal:
            await writer.set(vm, mixed)
        assert refusal.value.capability == f"limits.{missing}"
        assert refusal.value.why.strip()
        assert_same(await reader.read(vm), before)

    @pytest.mark.parametrize("kind", KINDS, indirect=True)
    @pytest.mark.parametrize("value", SENSELESS)
    async def test_a_value_without_sense_is_invalid_and_changes_nothing(
        self,
        session: Session,
        reader: LimitsReader,
        writer: LimitsWriter,
        support: Support,
        kind: LimitKind,
        value: float,
        vm: VMId,
    ) -> None:
        shape = await session.sensing.inventory.vm(vm)
        before = await reader.read(vm)
        mixed: Mapping[LimitKind, float | None] = {
            each: self.samples(each, shape)[0] for each in KINDS if present(support, f"limits.{each}")
        } | {kind: value}
        with pytest.raises(Invalid):
            await writer.set(vm, mixed)
        assert_same(await reader.read(vm), before)

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_an_id_that_no_vm_has_is_not_found(
        self, session: Session, reader: LimitsReader, support: Support, unknown: str
    ) -> None:
        with pytest.raises(NotFound):
            await reader.read(VMId(unknown))
        writer = session.acting.limits
        if writer is None:
            return
        for kind in KINDS:
            if present(support, f"limits.{kind}"):
                with pytest.raises(NotFound):
                    await writer.set(VMId(unknown), {kind: 1_000_000.0})

    async def test_a_stopped_vm_has_no_live_limits_to_set(
        self, session: Session, writer: LimitsWriter, support: Support, vm: VMId
    ) -> None:
        need(support, "power")
        assert session.acting.power is not None
        shape = await session.sensing.inventory.vm(vm)
        await session.acting.power.stop(vm, force=True)
        for kind in KINDS:
            if present(support, f"limits.{kind}"):
                with pytest.raises(Conflict):
                    await writer.set(vm, {kind: self.samples(kind, shape)[0]})

    async def test_nothing_of_the_vendor_comes_out(self, reader: LimitsReader, vm: VMId) -> None:
        assert_ours(await reader.read(vm), "limits")


def assert_same(after: Limits, before: Limits) -> None:
    """Fail when any limit differs."""
    assert dict(after.values) == dict(before.values)
    assert after.pinning == before.pinning
