"""What `capabilities/sensing/usage.py` promises."""

import asyncio
from typing import ClassVar

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import COUNTERS, Column, HostColumn, Usage, UsageFrame
from yamori.capabilities.session import Session
from yamori.model.ids import VMId
from yamori.model.support import Support
from yamori.testing.conformance.contract import (
    Contract,
    Record,
    assert_explained,
    need,
    present,
    proves,
)
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.values import assert_ours

PARTS: dict[str, tuple[Column, ...]] = {
    "usage.cpu_delay": (Column.CPU_DELAY,),
    "usage.memory_resident": (Column.MEMORY_RESIDENT,),
    "usage.disk_latency": (Column.DISK_READ_TIME, Column.DISK_WRITE_TIME),
    "usage.net_drops": (Column.NET_RX_DROPS, Column.NET_TX_DROPS),
}
"""Which columns a row of the matrix speaks for."""
NEVER_ZERO = (Column.VCPUS, Column.MEMORY_ASSIGNED, Column.MEMORY_RESIDENT)
"""Gauges that are above zero for every running VM: a zero there means "not known", which is NaN."""


def row_of(frame: UsageFrame, vm: VMId) -> NDArray[np.float64]:
    """Return one VM's row."""
    assert vm in frame.vms, "a running VM has a row"
    row: NDArray[np.float64] = frame.values[frame.vms.index(vm)]
    return row


class UsageContract(Contract):
    """Counters of all VMs in one call, as columns."""

    feature: ClassVar[str] = "usage"

    @pytest_asyncio.fixture
    async def usage(self, session: Session, support: Support) -> Usage:
        """The capability, where it is."""
        need(support, "usage")
        assert session.sensing.usage is not None, "usage is claimed but the session does not have it"
        return session.sensing.usage

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        if session.sensing.usage is not None:
            assert present(support, "usage")
            return
        for feature in ("usage", *PARTS):
            assert_explained(support.cells[feature], feature)

    async def test_a_frame_has_one_row_for_each_vm_and_one_column_for_each_word(
        self, usage: Usage, vm: VMId
    ) -> None:
        frame = await usage.read()
        assert frame.values.shape == (len(frame.vms), len(Column))
        assert frame.host_values.shape == (len(frame.hosts), len(HostColumn))
        assert frame.host_of.shape == (len(frame.vms),)
        assert frame.read_at.shape == (len(frame.hosts),)
        assert {a.dtype for a in (frame.values, frame.host_values, frame.read_at)} == {np.dtype(np.float64)}
        assert frame.host_of.dtype == np.int32
        assert np.all((frame.host_of >= 0) & (frame.host_of < len(frame.hosts)))
        assert len(set(frame.vms)) == len(frame.vms)
        assert vm in frame.vms

    async def test_rows_and_hosts_are_those_of_the_inventory(
        self, session: Session, usage: Usage, vm: VMId
    ) -> None:
        frame = await usage.read()
        listing = await session.sensing.inventory.read()
        assert set(frame.hosts) == {host.id for host in listing.hosts}
        listed = {each.id: each for each in listing.vms}
        assert listed[vm].host == frame.hosts[frame.host_of[frame.vms.index(vm)]]
        assert row_of(frame, vm)[Column.RUNNING] == 1.0
        vcpus = row_of(frame, vm)[Column.VCPUS]
        assert np.isnan(vcpus) or vcpus == listed[vm].vcpus

    async def test_a_stopped_vm_is_not_shown_as_running(
        self, session: Session, usage: Usage, support: Support, vm: VMId, eventually: Eventually
    ) -> None:
        need(support, "power")
        assert session.acting.power is not None
        await session.acting.power.stop(vm, force=True)

        async def gone() -> bool:
            frame = await usage.read()
            return vm not in frame.vms or row_of(frame, vm)[Column.RUNNING] == 0.0

        await eventually(gone, "the stopped VM is not shown as running")

    async def test_counters_never_fall(self, usage: Usage, vm: VMId, eventually: Eventually) -> None:
        before = await usage.read()
        for _ in range(5):
            await eventually.moment()
            after = await usage.read()
            old, new = row_of(before, vm)[list(COUNTERS)], row_of(after, vm)[list(COUNTERS)]
            fell = [c.name for c, b, a in zip(COUNTERS, old, new, strict=True) if a < b]
            assert not fell, f"counters fell: {fell}"
            before = after

    async def test_a_counter_that_is_known_stays_known(
        self, usage: Usage, vm: VMId, eventually: Eventually
    ) -> None:
        known = ~np.isnan(row_of(await usage.read(), vm))
        await eventually.moment()
        assert np.array_equal(known, ~np.isnan(row_of(await usage.read(), vm)))

    async def test_cpu_time_grows_while_the_reader_s_clock_goes_on(
        self, usage: Usage, vm: VMId, eventually: Eventually
    ) -> None:
        before = await usage.read()

        async def grown() -> bool:
            after = await usage.read()
            later = float(after.read_at.min()) > float(before.read_at.max())
            return later and row_of(after, vm)[Column.CPU_TIME] > row_of(before, vm)[Column.CPU_TIME]

        await eventually(grown, "CPU time and the reader's clock went on")

    @pytest.mark.parametrize("feature", sorted(PARTS))
    async def test_a_column_is_known_where_it_is_claimed_and_nan_where_it_is_not(
        self, usage: Usage, support: Support, vm: VMId, feature: str, record_property: Record
    ) -> None:
        proves(record_property, feature)
        row = row_of(await usage.read(), vm)
        for column in PARTS[feature]:
            value = row[column]
            if present(support, feature):
                assert np.isfinite(value), f"{feature} is claimed, yet {column.name} is {value}"
            else:
                assert np.isnan(value), f"{feature} is not claimed, yet {column.name} is {value}"

    async def test_what_is_not_known_is_nan_and_never_zero(self, usage: Usage, vm: VMId) -> None:
        frame = await usage.read()
        running = frame.column(Column.RUNNING) == 1.0
        for column in NEVER_ZERO:
            assert not np.any(frame.column(column)[running] <= 0.0), f"{column.name} of a running VM is zero"
        assert not np.any(frame.host_values[:, : HostColumn.MEMORY_FREE] <= 0.0)
        assert not np.any(np.isinf(frame.values))
        assert not np.any(frame.values < 0.0)

    async def test_gauges_stay_within_what_the_host_has(self, usage: Usage, vm: VMId) -> None:
        frame = await usage.read()
        host = frame.host_values[frame.host_of[frame.vms.index(vm)]]
        row = row_of(frame, vm)
        assert not host[HostColumn.MEMORY_FREE] > host[HostColumn.MEMORY_TOTAL]
        assert not row[Column.MEMORY_RESIDENT] > host[HostColumn.MEMORY_TOTAL]

    async def test_a_frame_is_never_written_to_after_it_was_given(
        self, usage: Usage, eventually: Eventually
    ) -> None:
        frame = await usage.read()
        arrays: list[NDArray[np.generic]] = [frame.values, frame.host_values, frame.read_at, frame.host_of]
        copies = [array.copy() for array in arrays]
        for _ in range(3):
            await eventually.moment()
            await usage.read()
        for array, copy in zip(arrays, copies, strict=True):
            assert np.array_equal(array, copy, equal_nan=array.dtype.kind == "f")

    async def test_many_may_read_at_once(self, usage: Usage, vm: VMId) -> None:
        frames = await asyncio.gather(*(usage.read() for _ in range(8)))
        assert all(vm in frame.vms for frame in frames)

    async def test_nothing_of_the_vendor_comes_out(self, usage: Usage) -> None:
        assert_ours(await usage.read(), "frame")
