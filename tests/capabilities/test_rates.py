import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from yamori.capabilities.sensing.rates import Rate, measured, memory_lost, rates
from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.model.ids import HostId, VMId
from yamori.model.sla import Objective

GIB = 2.0**30


def frame(
    *rows, at=0.0, vms=None, hosts=("h",), host_of=None, cpus=8.0, total=16 * GIB, free=8 * GIB, read_at=None
):
    """One frame; each row is a dict of columns, the others are 0."""
    values = np.zeros((len(rows), len(Column)))
    for i, row in enumerate(rows):
        values[i, Column.RUNNING] = 1
        values[i, Column.VCPUS] = 2
        for column, value in row.items():
            values[i, column] = value
    names = tuple(VMId(f"vm{i}") for i in range(len(rows))) if vms is None else tuple(VMId(v) for v in vms)
    return UsageFrame(
        wall=datetime(2026, 1, 1, tzinfo=UTC),
        vms=names,
        hosts=tuple(HostId(h) for h in hosts),
        host_of=np.zeros(len(rows), np.int32) if host_of is None else np.array(host_of, np.int32),
        read_at=np.full(len(hosts), at) if read_at is None else np.array(read_at, float),
        values=values,
        host_values=np.tile([cpus, total, free], (len(hosts), 1)),
    )


def of(result, rate, row=0):
    return result.column(rate)[row]


def test_a_rate_is_growth_divided_by_the_readers_time():
    before = frame({Column.CPU_TIME: 10.0, Column.CPU_DELAY: 1.0}, at=5.0)
    now = frame({Column.CPU_TIME: 13.0, Column.CPU_DELAY: 2.0}, at=7.0)
    result = rates(before, now)
    assert of(result, Rate.CPU_CORES) == pytest.approx(1.5)
    assert of(result, Rate.CPU_DELAY) == pytest.approx(0.25)  # 1 s in 2 s over 2 vCPUs


def test_latency_is_time_over_operations_and_unknown_without_any():
    before = frame({})
    now = frame(
        {
            Column.DISK_READ_OPS: 10,
            Column.DISK_WRITE_OPS: 10,
            Column.DISK_READ_TIME: 0.2,
            Column.DISK_WRITE_TIME: 0.4,
        },
        at=1.0,
    )
    assert of(rates(before, now), Rate.DISK_LATENCY_S) == pytest.approx(0.03)
    idle = rates(before, frame({}, at=1.0))
    assert np.isnan(of(idle, Rate.DISK_LATENCY_S))
    assert of(idle, Rate.DISK_IOPS) == 0


def test_drops_are_a_fraction_of_what_was_offered():
    now = frame({Column.NET_RX_PACKETS: 90, Column.NET_RX_DROPS: 10}, at=1.0)
    assert of(rates(frame({}), now), Rate.NET_DROPS) == pytest.approx(0.1)


def test_a_restarted_vm_is_unknown_for_one_tick():
    before = frame({Column.CPU_TIME: 100.0, Column.NET_RX_BYTES: 5})
    now = frame({Column.CPU_TIME: 1.0, Column.NET_RX_BYTES: 500}, at=1.0)
    result = rates(before, now)
    assert np.isnan(of(result, Rate.CPU_CORES))
    assert np.isnan(of(result, Rate.NET_RX_BYTES_S))
    assert np.isnan(of(result, Rate.DISK_IOPS))


def test_an_unplugged_disk_makes_only_the_disk_rates_unknown():
    before = frame({Column.DISK_READ_OPS: 100, Column.DISK_WRITE_BYTES: 1})
    now = frame({Column.DISK_READ_OPS: 10, Column.DISK_WRITE_BYTES: 900, Column.CPU_TIME: 1.0}, at=1.0)
    result = rates(before, now)
    assert np.isnan(of(result, Rate.DISK_BYTES_S))
    assert of(result, Rate.CPU_CORES) == 1.0


def test_more_cpu_time_than_the_host_has_is_unknown():
    now = frame({Column.CPU_TIME: 1000.0}, at=1.0)
    assert np.isnan(of(rates(frame({}), now), Rate.CPU_CORES))


@pytest.mark.parametrize("later", [0.0, -5.0, float("nan")])
def test_a_clock_that_does_not_advance_yields_unknown(later):
    result = rates(frame({}), frame({Column.CPU_TIME: 1.0}, at=later))
    assert np.isnan(of(result, Rate.CPU_CORES))


def test_rows_are_matched_by_vm_and_host():
    before = frame({Column.CPU_TIME: 1.0}, {Column.CPU_TIME: 2.0}, vms=("a", "b"))
    now = frame({Column.CPU_TIME: 3.0}, {Column.CPU_TIME: 7.0}, {}, vms=("b", "new", "a"), at=1.0)
    result = rates(before, now)
    assert result.previous.tolist() == [1, -1, 0]
    assert of(result, Rate.CPU_CORES, 0) == 1.0
    assert np.isnan(of(result, Rate.CPU_CORES, 1))


def test_a_vm_that_moved_starts_afresh_on_its_new_host():
    before = frame({Column.CPU_TIME: 1.0}, vms=("a",), hosts=("x", "y"), host_of=[0])
    now = frame({Column.CPU_TIME: 3.0}, vms=("a",), hosts=("x", "y"), host_of=[1], at=1.0)
    assert np.isnan(of(rates(before, now), Rate.CPU_CORES))


def test_hosts_may_come_in_another_order():
    before = frame({}, {}, vms=("a", "b"), hosts=("x", "y"), host_of=[0, 1], read_at=[10.0, 20.0])
    now = frame(
        {Column.CPU_TIME: 2.0},
        {Column.CPU_TIME: 2.0},
        vms=("a", "b"),
        hosts=("y", "x"),
        host_of=[1, 0],
        read_at=[24.0, 12.0],
    )
    assert rates(before, now).column(Rate.CPU_CORES).tolist() == [1.0, 0.5]


def test_a_vm_on_two_hosts_keeps_both_rows_apart():
    before = frame({Column.CPU_TIME: 1.0}, {}, vms=("a", "a"), hosts=("x", "y"), host_of=[0, 1])
    now = frame({}, {Column.CPU_TIME: 2.0}, {}, vms=("a", "a", "b"), hosts=("x", "y"), host_of=[1, 0, 0], at=1.0)
    result = rates(before, now)
    assert result.previous.tolist() == [1, 0, -1]
    assert of(result, Rate.CPU_CORES, 1) == 1.0


def test_a_vm_twice_on_one_host_is_ambiguous():
    before = frame({}, {}, vms=("a", "a"))
    now = frame({}, {}, {}, vms=("a", "a", "b"), at=1.0)
    assert rates(before, now).previous.tolist() == [-1, -1, -1]


def test_frames_without_rows_are_fine():
    empty = frame(vms=())
    assert rates(empty, empty).values.shape == (len(Rate), 0)
    assert np.isnan(of(rates(empty, frame({Column.CPU_TIME: 1.0}, at=1.0)), Rate.CPU_CORES))


def test_a_row_reads_as_words_with_none_for_unknown():
    row = rates(frame({}), frame({Column.CPU_TIME: 1.0, Column.MEMORY_ASSIGNED: GIB}, at=1.0)).row(0)
    assert row["cpu_cores"] == 1.0
    assert row["memory_assigned_bytes"] == GIB
    assert row["disk_latency_s"] is None


@given(
    arrays(float, (2, 3, len(Column)), elements=st.floats(0, 1e15)),
    st.floats(1e-3, 1e4),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_rates_are_never_negative(values, seconds, gone):
    before, now = frame({}, {}, {}), frame({}, {}, {}, at=seconds)
    values[0][np.array(gone)] = np.nan
    before.values[:], now.values[:] = values
    result = rates(before, now).values
    assert not (result[~np.isnan(result)] < 0).any()


@given(st.permutations(range(5)), arrays(float, (5, len(Column)), elements=st.floats(0, 3)))
def test_the_order_of_rows_does_not_change_a_rate(order, growth):
    before = frame({}, {}, {}, {}, {})
    now = frame({}, {}, {}, {}, {}, at=1.0)
    now.values[:] = growth
    shuffled = frame({}, {}, {}, {}, {}, at=1.0, vms=[f"vm{i}" for i in order])
    shuffled.values[:] = growth[list(order)]
    straight, other = rates(before, now), rates(before, shuffled)
    np.testing.assert_array_equal(straight.values[:, list(order)], other.values)


def memory(resident, *, at, free=0.2 * GIB, assigned=GIB):
    return frame({Column.MEMORY_ASSIGNED: assigned, Column.MEMORY_RESIDENT: resident}, at=at, free=free)


def lost_over(*frames):
    remembered, told = None, []
    for before, now in itertools.pairwise(frames):
        remembered, lost = memory_lost(remembered, rates(before, now), now)
        told.append(float(lost[0]))
    return told


def test_memory_that_a_short_host_takes_is_lost():
    told = lost_over(*(memory(r, at=float(i)) for i, r in enumerate([0.8 * GIB, 0.8 * GIB, 0.6 * GIB, 0.4 * GIB])))
    assert told == pytest.approx([0.0, 0.25, 0.5])


def test_memory_that_comes_back_is_no_longer_lost():
    told = lost_over(*(memory(r, at=float(i)) for i, r in enumerate([GIB, GIB, 0.5 * GIB, GIB])))
    assert told == pytest.approx([0.0, 0.5, 0.0])


def test_memory_that_falls_on_a_host_with_plenty_was_given_back_by_the_guest():
    told = lost_over(*(memory(r, at=float(i), free=8 * GIB) for i, r in enumerate([GIB, GIB, 0.5 * GIB])))
    assert told == [0.0, 0.0]


def test_a_shrinking_balloon_is_no_loss():
    told = lost_over(memory(GIB, at=0), memory(GIB, at=1), memory(0.5 * GIB, at=2, assigned=0.5 * GIB))
    assert told == [0.0, 0.0]


def test_what_a_short_host_has_left_alone_for_long_was_not_needed():
    start = [memory(GIB, at=0), memory(GIB, at=1), memory(0.5 * GIB, at=2)]
    told = lost_over(*start, *(memory(0.5 * GIB, at=3.0 + i) for i in range(40)))
    assert told[1] == pytest.approx(0.5)
    assert told[-1] < 0.01


def test_a_host_that_goes_on_taking_makes_the_loss_grow():
    told = lost_over(*(memory((1.0 - 0.05 * i) * GIB, at=float(i)) for i in range(10)))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1 - 0.55 / 0.95)


def test_what_was_lost_counts_less_and_less_once_the_host_has_memory_again():
    start = [memory(GIB, at=0), memory(GIB, at=1), memory(0.5 * GIB, at=2)]
    told = lost_over(*start, *(memory(0.5 * GIB, at=3.0 + i, free=8 * GIB) for i in range(30)))
    assert told[1] == pytest.approx(0.5)
    assert told[2:] == sorted(told[2:], reverse=True)
    assert told[-1] < 0.01


def test_unknown_memory_is_an_unknown_loss():
    told = lost_over(memory(GIB, at=0), memory(GIB, at=1), memory(float("nan"), at=2), memory(0.5 * GIB, at=3))
    assert np.isnan(told[1])
    assert told[2] == pytest.approx(0.5)


def test_every_objective_is_measured():
    now = frame({}, at=1.0)
    result = rates(frame({}), now)
    assert set(measured(result, np.zeros(1))) == set(Objective)
