"""One VM's statistics to one row: what is not told is NaN, what cannot be is NaN too."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.capabilities.sensing.usage import COUNTERS, Column
from yamori.drivers.libvirt.counters import row
from yamori.drivers.libvirt.usage import Growth
from yamori.model.ids import VMId

STATS: dict[str, Any] = {
    "state.state": 1,
    "cpu.time": 3_000_000_000,
    "balloon.current": 131072,
    "balloon.maximum": 262144,
    "balloon.rss": 230604,
    "balloon.usable": 71244,
    "balloon.major_fault": 7,
    "vcpu.current": 2,
    "vcpu.maximum": 4,
    "vcpu.0.state": 1,
    "vcpu.0.delay": 500_000_000,
    "vcpu.2.state": 1,
    "vcpu.2.delay": 250_000_000,
    "net.count": 2,
    **{f"net.{n}.{k}": n + 1 for n in (0, 1) for k in ("rx.bytes", "rx.pkts", "rx.drop", "tx.bytes", "tx.pkts")},
    "net.0.tx.drop": 5,
    "net.1.tx.drop": 6,
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.rd.reqs": 10,
    "block.0.rd.bytes": 4096,
    "block.0.rd.times": 2_000_000_000,
    "block.0.wr.reqs": 1,
    "block.0.wr.bytes": 512,
    "block.0.wr.times": 500_000_000,
    "block.1.name": "sda",
}


def test_a_whole_row_is_in_the_model_s_units() -> None:
    told = row(STATS)
    assert told[Column.RUNNING] == 1.0
    assert told[Column.CPU_TIME] == pytest.approx(3.0)
    assert told[Column.CPU_DELAY] == pytest.approx(0.75)
    assert told[Column.MEMORY_ASSIGNED] == 128 << 20
    assert told[Column.MEMORY_RESIDENT] == 230604 * 1024
    assert told[Column.MEMORY_USABLE] == 71244 * 1024
    assert told[Column.DISK_READ_TIME] == pytest.approx(2.0)
    assert told[Column.NET_RX_BYTES] == 3
    assert told[Column.NET_TX_DROPS] == 11


def test_an_empty_drive_does_not_hide_what_the_disk_did() -> None:
    assert row(STATS)[Column.DISK_READ_OPS] == 10


def test_nothing_told_is_nothing_known() -> None:
    assert all(math.isnan(value) for value in row({}))


@pytest.mark.parametrize("missing", ["vcpu.2.delay", "net.1.rx.bytes", "block.0.rd.reqs"])
def test_a_sum_with_a_missing_part_is_not_known(missing: str) -> None:
    stats = {key: value for key, value in STATS.items() if key != missing}
    column = {"vcpu.2.delay": Column.CPU_DELAY, "net.1.rx.bytes": Column.NET_RX_BYTES}.get(
        missing, Column.DISK_READ_OPS
    )
    assert math.isnan(row(stats)[column])


def test_a_busy_vm_s_disks_are_unknown_rather_than_still() -> None:
    stats = {key: value for key, value in STATS.items() if not key.startswith("block.0.")}
    assert math.isnan(row(stats)[Column.DISK_READ_OPS])


def test_a_vm_without_cards_has_sent_nothing() -> None:
    assert row({"net.count": 0})[Column.NET_TX_BYTES] == 0.0


@pytest.mark.parametrize(("code", "running"), [(1, 1.0), (2, 1.0), (3, 0.0), (4, 1.0), (5, 0.0), (6, 0.0)])
def test_only_what_executes_is_running(code: int, running: float) -> None:
    assert row({"state.state": code})[Column.RUNNING] == running


@pytest.mark.parametrize("absurd", [-1, 1 << 64, math.nan, math.inf, "7", None, True])
def test_what_cannot_be_is_not_known(absurd: object) -> None:
    assert math.isnan(row({**STATS, "cpu.time": absurd})[Column.CPU_TIME])


def test_a_guest_that_claims_more_memory_than_it_has_is_not_believed() -> None:
    assert math.isnan(row({**STATS, "balloon.usable": 1 << 40})[Column.MEMORY_USABLE])


@pytest.mark.parametrize("group", ["block", "net", "vcpu"])
def test_an_absurd_number_of_devices_costs_nothing(group: str) -> None:
    assert len(row({f"{group}.count": 1 << 40, f"{group}.maximum": 1 << 40})) == len(Column)


@given(
    st.dictionaries(st.sampled_from(sorted(STATS)), st.one_of(st.integers(), st.floats(), st.text(), st.none()))
)
def test_any_statistics_give_a_row_of_numbers_that_are_not_negative_or_infinite(stats: dict[str, Any]) -> None:
    told = row(stats)
    assert len(told) == len(Column)
    assert all(math.isnan(value) or 0 <= value < math.inf for value in told)


def _frame(cpu: float, ops: float) -> np.ndarray:
    values = np.full((1, len(Column)), np.nan)
    values[0, [Column.CPU_TIME, Column.DISK_READ_OPS]] = cpu, ops
    return values


def test_taking_a_disk_away_does_not_make_the_sum_fall() -> None:
    growth, vm = Growth(), VMId("a")
    seen = []
    for cpu, ops in ((1, 100), (2, 110), (3, 40), (4, 45), (5, 5), (6, 9)):
        values = _frame(cpu, ops)
        growth.keep([vm], [7], values)
        seen.append(values[0, Column.DISK_READ_OPS])
    assert seen == [100, 110, 110, 115, 115, 119]


def test_a_vm_started_anew_counts_anew() -> None:
    growth, vm = Growth(), VMId("a")
    first, second = _frame(50, 100), _frame(1, 2)
    growth.keep([vm], [7], first)
    growth.keep([vm], [8], second)
    assert second[0, Column.DISK_READ_OPS] == 2


def test_a_gap_of_unknowns_neither_adds_nor_forgets() -> None:
    growth, vm = Growth(), VMId("a")
    for ops in (100, math.nan):
        growth.keep([vm], [7], _frame(1, ops))
    after = _frame(2, 60)
    growth.keep([vm], [7], after)
    assert after[0, Column.DISK_READ_OPS] == 100


@given(st.lists(st.lists(st.integers(0, 1000), min_size=len(COUNTERS), max_size=len(COUNTERS)), max_size=20))
def test_counters_never_fall_while_a_vm_runs(readings: list[list[int]]) -> None:
    growth, last = Growth(), np.zeros(len(COUNTERS))
    for reading in readings:
        values = np.full((1, len(Column)), np.nan)
        values[0, list(COUNTERS)] = reading
        growth.keep([VMId("a")], [1], values)
        assert (values[0, list(COUNTERS)] >= last).all()
        last = values[0, list(COUNTERS)]
