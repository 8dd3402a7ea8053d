"""The laws of the simulated world, each against what it is derived from."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yamori.drivers.simulator.physics import cpu, disk, memory, network

wants = st.lists(st.floats(0, 8), min_size=1, max_size=8)


def one_host(size: int) -> np.ndarray:
    return np.zeros(size, np.int32)


@given(wants=wants, seed=st.integers(0, 2**16), capacity=st.floats(0.5, 16))
@settings(max_examples=200, deadline=None)
def test_sharing_is_weighted_max_min(wants: list[float], seed: int, capacity: float) -> None:
    want = np.array(wants)
    weight = np.random.default_rng(seed).uniform(0.1, 4, want.size)
    got = cpu.share(want, weight, one_host(want.size), np.array([capacity]))
    assert np.all(got <= want + 1e-9)
    assert got.sum() == pytest.approx(min(capacity, want.sum()), abs=1e-6)
    held = got < want - 1e-6
    if held.any():
        # Whoever is held back has the same level, and nobody has a higher one: that is max-min fairness.
        level = (got / weight)[held]
        assert level.max() == pytest.approx(level.min(), rel=1e-6)
        assert np.all((got / weight) <= level.max() * (1 + 1e-6))


@given(wants=wants, seed=st.integers(0, 2**16))
@settings(max_examples=100, deadline=None)
def test_pinning_to_all_cpus_is_the_same_as_no_pinning(wants: list[float], seed: int) -> None:
    want = np.array(wants)
    weight = np.random.default_rng(seed).uniform(0.1, 4, want.size)
    free = cpu.share(want, weight, one_host(want.size), np.array([4.0]))
    pinned = cpu.share_pinned(want, weight, [frozenset(range(4))] * want.size, 4)
    assert np.allclose(free, pinned, atol=1e-6)


def test_vms_pinned_to_one_cpu_share_that_one_and_leave_the_others_alone() -> None:
    sets = [frozenset({0}), frozenset({0}), frozenset(range(4))]
    got = cpu.share_pinned(np.array([1.0, 1.0, 4.0]), np.ones(3), sets, 4)
    assert got == pytest.approx([0.5, 0.5, 3.0])


def test_a_host_shares_only_what_it_has_and_hosts_do_not_mix() -> None:
    host = np.array([0, 0, 1], np.int32)
    got = cpu.share(np.array([4.0, 4.0, 1.0]), np.ones(3), host, np.array([4.0, 4.0]))
    assert got == pytest.approx([2.0, 2.0, 1.0])


def step(want: list[float], *, cap: list[float] | None = None, weight: list[float] | None = None) -> cpu.CPU:
    size = len(want)
    return cpu.step(
        runnable=np.array(want),
        vcpus=np.full(size, 8.0),
        cap=np.array(cap or [np.inf] * size),
        weight=np.array(weight or [1.0] * size),
        host=one_host(size),
        cpus=np.array([4.0]),
        pins={},
    )


def test_nobody_waits_on_an_idle_host_and_a_noisy_neighbour_makes_everybody_wait() -> None:
    assert step([0.5, 0.5]).delay == pytest.approx([0.0, 0.0])
    noisy = step([0.5, 8.0])
    assert noisy.granted[0] == pytest.approx(0.5)
    assert noisy.delay[0] > 0.1


def test_capping_the_neighbour_and_lowering_its_weight_both_relieve_the_victim() -> None:
    noisy = step([0.5, 8.0]).delay[0]
    assert step([0.5, 8.0], cap=[np.inf, 1.0]).delay[0] == 0.0
    assert step([0.5, 8.0], weight=[1.0, 0.1]).delay[0] < noisy / 2


def test_who_is_held_back_by_its_own_cap_waits() -> None:
    assert step([2.0], cap=[0.5]).delay[0] == pytest.approx(1.5)


def disks(reads: list[float], iops_limit: list[float] | None = None) -> disk.Disk:
    size = len(reads)
    return disk.step(
        reads=np.array(reads),
        writes=np.zeros(size),
        op_bytes=np.full(size, 4096.0),
        iops_limit=np.array(iops_limit or [np.inf] * size),
        bandwidth_limit=np.full(size, np.inf),
        host=one_host(size),
        host_iops=np.array([1000.0]),
        host_bandwidth=np.array([1e12]),
        host_latency=np.array([0.001]),
        host_swap_ops=np.zeros(1),
    )


def test_disk_latency_is_that_of_a_queue_and_stays_finite() -> None:
    assert disks([500.0]).latency[0] == pytest.approx(0.002, rel=0.01)
    assert disks([900.0]).latency[0] == pytest.approx(0.010, rel=0.01)
    assert disks([1e9]).latency[0] == pytest.approx(0.001 / (1 - disk.BUSIEST))


def test_a_full_array_serves_in_proportion() -> None:
    full = disks([1000.0, 3000.0])
    assert full.reads.sum() == pytest.approx(1000.0, rel=1e-3)
    assert full.reads[1] == pytest.approx(3 * full.reads[0])


def test_a_limited_vm_waits_by_littles_law_and_its_neighbour_does_not() -> None:
    limited = disks([5000.0, 100.0], [50.0, np.inf])
    assert limited.reads[0] == pytest.approx(50.0)
    assert limited.latency[0] == pytest.approx(disk.QUEUE_DEPTH / 50.0)
    assert limited.latency[1] < 0.0013


def remember(total: float, **changes: list[float]) -> memory.Memory:
    state = {
        "working_set": [4.0, 4.0],
        "touch": [1.0, 1.0],
        "target": [8.0, 8.0],
        "largest": [8.0, 8.0],
        "assigned": [8.0, 8.0],
        "resident": [4.0, 4.0],
        "paged": [0.0, 0.0],
        **changes,
    }
    columns = {name: np.array(value, dtype=float) for name, value in state.items()}
    return memory.step(
        seconds=1.0,
        running=np.array([True, True]),
        host=one_host(2),
        host_memory=np.array([total]),
        **columns,
    )


def test_a_host_that_promised_too_much_pages_everybody_out_in_proportion() -> None:
    after = remember(6.0)
    assert after.resident == pytest.approx([3.0, 3.0])
    assert after.paged == pytest.approx([1.0, 1.0])
    assert after.missing == pytest.approx([0.25, 0.25])


def test_a_balloon_moves_gradually_and_gives_memory_back() -> None:
    after = remember(100.0, target=[2.0, 8.0])
    assert after.assigned[0] == pytest.approx(8.0 - memory.BALLOON_FRACTION_S * 8.0)
    squeezed = remember(100.0, target=[2.0, 8.0], assigned=[2.0, 8.0])
    assert squeezed.resident[0] == pytest.approx(2.0)
    assert squeezed.faults[0] > 0
    assert squeezed.faults[1] == 0


@given(
    resident=st.lists(st.floats(0, 8), min_size=2, max_size=2),
    working=st.lists(st.floats(0, 8), min_size=2, max_size=2),
    total=st.floats(0.5, 20),
)
@settings(max_examples=200, deadline=None)
def test_no_host_ever_holds_more_than_it_has(resident: list[float], working: list[float], total: float) -> None:
    after = remember(total, resident=resident, working_set=working)
    assert after.resident.sum() <= total + 1e-9
    assert np.all(after.resident <= after.assigned + 1e-9)
    assert np.all((after.missing >= 0) & (after.missing <= 1))


def test_a_flood_drops_its_neighbours_packets_and_a_limit_only_its_own() -> None:
    def send(limit: float) -> network.Network:
        return network.step(
            rx=np.array([1e6, 1e9]),
            tx=np.zeros(2),
            packet_bytes=np.full(2, 1000.0),
            rx_limit=np.array([np.inf, limit]),
            tx_limit=np.full(2, np.inf),
            host=one_host(2),
            host_bandwidth=np.array([1e8]),
            host_packets=np.array([1e9]),
        )

    assert send(math.inf).rx_passed[0] < 0.2
    assert send(1e6).rx_passed == pytest.approx([1.0, 0.001])
