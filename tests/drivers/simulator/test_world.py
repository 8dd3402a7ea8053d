"""The simulated world as a whole: it repeats itself, obeys hands and faults, and tells the truth from outside."""

import asyncio
import time

import numpy as np
import pytest

from yamori.capabilities.sensing.usage import Column
from yamori.drivers.simulator import (
    DRIVER,
    Burst,
    Demand,
    Fault,
    HostShape,
    Series,
    SimulatorSession,
    SimulatorSettings,
    VMShape,
    World,
    WorldShape,
)
from yamori.drivers.simulator.session import FOLLOW_MOST_S
from yamori.model.errors import Busy, Conflict, Invalid, NotFound, TimedOut, Unreachable
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.model.vm import PowerState

GIB = 1024**3
SMALL = WorldShape(
    hosts=2, vms_per_host=8, host=HostShape(cpus=4, memory_bytes=12 * GIB, disk_iops=4000), step_s=0.25
)
ATTACKS = {
    "cpu": (Demand(cpu_cores=8), {LimitKind.CPU_CAP: 0.5}),
    "memory": (Demand(working_set_bytes=8 * GIB, touch_bytes_s=2 * GIB), {LimitKind.MEMORY: float(GIB)}),
    "disk": (Demand(disk_read_iops=30_000), {LimitKind.DISK_IOPS: 50.0}),
    "network": (Demand(net_rx_bytes_s=5e9), {LimitKind.NET_IN: 1e6}),
}


def alone(world: World, host: str = "host-0", name: str = "alpha") -> SimulatorSession:
    return SimulatorSession(world, EndpointName(name), hosts=[host])


async def play(world: World) -> bytes:
    session = alone(world)
    vms = world.vms("host-0")
    world.set_demand(vms[0], Demand(cpu_cores=2, disk_read_iops=9000))
    for _ in range(5):
        world.advance(1.0)
        await session.acting.limits.set(vms[1], {LimitKind.CPU_CAP: 0.05})  # type: ignore[union-attr]
        await session.acting.power.pause(vms[2])  # type: ignore[union-attr]
    return (await session.sensing.usage.read()).values.tobytes()  # type: ignore[union-attr]


async def test_the_same_calls_give_the_same_world_bit_for_bit() -> None:
    assert await play(World(SMALL)) == await play(World(SMALL))
    other = SMALL.model_copy(update={"seed": 2})
    assert await play(World(SMALL)) != await play(World(other))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_hurts_its_neighbours_and_a_throttle_of_it_mends_that(attack: str) -> None:
    world = World(SMALL)
    session = alone(world)
    victim = world.vms("host-0")[0]
    for vm in world.vms("host-0"):
        world.set_demand(vm, Demand(cpu_cores=0.4, working_set_bytes=0.75 * GIB))
    attacker = world.define("host-0", name="attacker", shape=VMShape(vcpus=8, memory_bytes=8 * GIB))
    assert session.acting.power is not None
    assert session.acting.limits is not None
    await session.acting.power.start(attacker)
    world.advance(30)
    calm = world.service(victim).latency_s
    demand, limits = ATTACKS[attack]
    world.set_demand(attacker, demand)
    world.advance(20)
    hurt = world.service(victim).latency_s
    elsewhere = world.service(world.vms("host-1")[0]).latency_s
    await session.acting.limits.set(attacker, limits)
    world.advance(90)
    mended = world.service(victim).latency_s
    assert calm is not None
    assert hurt is not None
    assert mended is not None
    assert elsewhere is not None
    assert hurt > 1.25 * calm
    assert elsewhere < 1.1 * calm
    assert mended < 1.1 * calm


def test_a_demand_may_come_in_bursts_or_from_a_series() -> None:
    world = World(SMALL.model_copy(update={"jitter": 0.0}))
    low, high = Demand(cpu_cores=0.1), Demand(cpu_cores=1.0)
    one, two = world.vms()[:2]
    world.set_demand(one, Burst(rest=low, peak=high, period_s=10, on_s=2))
    world.set_demand(two, Series(demands=[low, high, low], step_s=5))
    seen = []
    for _ in range(12):
        world.advance(1.0)
        seen.append((world.demand(one).cpu_cores, world.demand(two).cpu_cores))
    assert [a for a, _ in seen] == [1.0, 1.0, *[0.1] * 8, 1.0, 1.0]
    assert [b for _, b in seen] == [*[0.1] * 5, *[1.0] * 5, 0.1, 0.1]


async def test_counters_begin_again_after_a_stop_but_not_after_a_pause() -> None:
    world = World(SMALL)
    session = alone(world)
    vm = world.vms()[0]
    usage, power = session.sensing.usage, session.acting.power
    assert usage is not None
    assert power is not None
    world.advance(10)

    async def cpu_time() -> float:
        frame = await usage.read()
        return float(frame.values[frame.vms.index(vm), Column.CPU_TIME])

    before = await cpu_time()
    await power.pause(vm)
    await power.resume(vm)
    assert await cpu_time() == before
    await power.stop(vm, force=True)
    await power.start(vm)
    assert await cpu_time() == 0.0


async def test_live_limits_outlast_a_reset_but_not_a_stop() -> None:
    world = World(SMALL)
    session = alone(world)
    vm = world.vms()[0]
    power, writer, reader = session.acting.power, session.acting.limits, session.sensing.limits
    assert power is not None
    assert writer is not None
    assert reader is not None
    await writer.set(vm, {LimitKind.CPU_CAP: 0.5, LimitKind.MEMORY: float(GIB)})
    await writer.pin(vm, frozenset({0}))
    await power.reset(vm)
    kept = await reader.read(vm)
    assert (kept.values[LimitKind.CPU_CAP], kept.pinning) == (0.5, frozenset({0}))
    await power.stop(vm, force=True)
    await power.start(vm)
    fresh = await reader.read(vm)
    assert (fresh.values[LimitKind.CPU_CAP], fresh.values[LimitKind.MEMORY], fresh.pinning) == (None, None, None)


async def test_a_lost_answer_takes_effect_all_the_same() -> None:
    world = World(SMALL)
    session = alone(world)
    vm = world.vms()[0]
    fault = Fault(operation="limits.set", raises=TimedOut, obeyed=True)
    world.faults.add(fault)
    assert session.acting.limits is not None
    assert session.sensing.limits is not None
    with pytest.raises(TimedOut):
        await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 0.5})
    assert (await session.sensing.limits.read(vm)).values[LimitKind.CPU_CAP] == 0.5
    assert world.faults.struck(fault) == 1


async def test_a_fault_passes_some_calls_hits_some_and_is_over() -> None:
    world = World(SMALL)
    session = alone(world)
    world.faults.add(Fault(operation="inventory.*", after=1, times=2, raises=Busy))
    outcomes = []
    for _ in range(5):
        try:
            await session.sensing.inventory.read()
            outcomes.append("read")
        except Busy:
            outcomes.append("busy")
    assert outcomes == ["read", "busy", "busy", "read", "read"]


async def test_a_fault_may_drift_lose_and_hide() -> None:
    world = World(SMALL)
    session = alone(world)
    vm = world.vms()[0]
    usage, limits = session.sensing.usage, session.acting.limits
    assert usage is not None
    assert limits is not None
    world.faults.add(Fault(operation="limits.set", drift={LimitKind.CPU_CAP: 1.5}))
    world.faults.add(Fault(operation="usage.read", unknown=frozenset({Column.CPU_DELAY}), lose_rows=0.005))
    await limits.set(vm, {LimitKind.CPU_CAP: 0.5})
    assert world.columns.cpu_cap[world.row(vm)] == 1.5
    frame = await usage.read()
    assert len(frame.vms) == 3
    assert np.isnan(frame.column(Column.CPU_DELAY)).all()
    assert len((await usage.read()).vms) == 8


async def test_a_cut_line_is_unreachable_until_it_is_mended_and_ends_every_watch() -> None:
    world = World(SMALL)
    session = alone(world)
    assert session.sensing.changes is not None
    watch = session.sensing.changes.watch()
    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    session.cut()
    with pytest.raises(Unreachable):
        await first
    with pytest.raises(Unreachable):
        await session.sensing.inventory.read()
    session.mend()
    assert len((await session.sensing.inventory.read()).vms) == 8


async def test_while_it_moves_a_vm_is_incoming_at_the_destination() -> None:
    world = World(SMALL)
    source, destination = alone(world), alone(world, "host-1", "beta")
    vm = world.vms("host-0")[0]
    assert source.acting.migration is not None
    assert destination.acting.migration is not None
    landing = await destination.acting.migration.landing(vm, HostId("beta"))
    await source.acting.migration.start(
        vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=50_000_000, key="k"
    )
    world.advance(1)
    assert (await source.sensing.inventory.vm(vm)).state is PowerState.RUNNING
    assert (await destination.sensing.inventory.vm(vm)).state is PowerState.INCOMING
    ended = asyncio.ensure_future(source.acting.migration.wait(vm))
    for _ in range(100):
        world.advance(1)
        await asyncio.sleep(0)
    status = await ended
    assert status.phase is MigrationPhase.SUCCEEDED
    assert world.host_of(vm) == "host-1"
    with pytest.raises(NotFound):
        await source.sensing.inventory.vm(vm)


async def test_a_guest_that_writes_faster_than_the_line_is_slowed_until_it_fits() -> None:
    world = World(SMALL)
    source, destination = alone(world), alone(world, "host-1", "beta")
    vm = world.vms("host-0")[0]
    world.set_demand(vm, Demand(working_set_bytes=1e9, touch_bytes_s=2e8))
    world.advance(10)
    assert source.acting.migration is not None
    assert source.sensing.migration is not None
    assert destination.acting.migration is not None
    landing = await destination.acting.migration.landing(vm, HostId("beta"))
    await source.acting.migration.start(
        vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=100_000_000, key="k"
    )
    world.advance(20)
    status = await source.sensing.migration.status(vm)
    assert status is not None
    assert status.phase is MigrationPhase.RUNNING
    world.advance(300)
    status = await source.sensing.migration.status(vm)
    assert status is not None
    assert status.phase is MigrationPhase.SUCCEEDED


async def test_what_is_done_by_hand_is_seen_by_the_sessions() -> None:
    world = World(SMALL)
    session = alone(world)
    born = world.define("host-0", name="by hand", labels={"tenant": "x"}, persistent=False)
    found = await session.sensing.inventory.vm(born)
    assert (found.state, found.name, dict(found.labels)) == (PowerState.STOPPED, "by hand", {"tenant": "x"})
    world.place(world.vms("host-0")[0], "host-1")
    world.crash(world.vms("host-0")[0])
    world.vanish(born)
    listing = await session.sensing.inventory.read()
    assert len(listing.vms) == 7
    assert [vm.state for vm in listing.vms].count(PowerState.CRASHED) == 1
    with pytest.raises(NotFound):
        world.row(born)


async def test_endpoints_that_name_a_world_share_it_and_must_agree_on_its_shape() -> None:
    shape = WorldShape(hosts=2, vms_per_host=1)
    one = await DRIVER.connect(
        EndpointName("one"), SimulatorSettings(world="shared-by-test", shape=shape, hosts=("host-0",))
    )
    two = await DRIVER.connect(EndpointName("two"), SimulatorSettings(world="shared-by-test", hosts=("host-1",)))
    assert isinstance(one, SimulatorSession)
    assert isinstance(two, SimulatorSession)
    assert one.world is two.world
    with pytest.raises(Invalid):
        await DRIVER.connect(EndpointName("three"), SimulatorSettings(world="shared-by-test", shape=WorldShape()))
    with pytest.raises(Invalid):
        await DRIVER.connect(EndpointName("four"), SimulatorSettings(world="shared-by-test", hosts=("nowhere",)))


async def test_time_follows_real_time_when_told_to_and_stops_with_the_session() -> None:
    settings = SimulatorSettings(world="followed-by-test", shape=SMALL, follow=10.0)
    session = await DRIVER.connect(EndpointName("alpha"), settings)
    assert isinstance(session, SimulatorSession)
    world = session.world
    await asyncio.wait_for(world.clock.sleep(1.0), timeout=60)
    assert world.clock.now >= 1.0
    await session.close()
    stopped = world.clock.now
    await asyncio.sleep(0.25)
    assert world.clock.now == stopped


async def test_a_world_stands_still_while_the_process_that_follows_it_does() -> None:
    settings = SimulatorSettings(world="stalled-by-test", shape=SMALL, follow=10.0)
    session = await DRIVER.connect(EndpointName("alpha"), settings)
    assert isinstance(session, SimulatorSession)
    world = session.world
    await asyncio.wait_for(world.clock.sleep(0.5), timeout=60)
    loop = asyncio.get_running_loop()
    before, began = world.clock.now, loop.time()
    time.sleep(1.0)  # noqa: ASYNC251 -- what is tested: nothing in this process runs meanwhile
    stalled = loop.time() - began
    await asyncio.wait_for(world.clock.sleep(0.5), timeout=60)
    others = loop.time() - began - stalled
    assert world.clock.now - before <= 10.0 * (others + 2 * FOLLOW_MOST_S)
    await session.close()


async def test_a_hundred_thousand_vms_are_one_frame() -> None:
    world = World(WorldShape(hosts=2000, vms_per_host=50))
    session = SimulatorSession(world, EndpointName("all"))
    assert session.sensing.usage is not None
    world.advance(2)
    frame = await session.sensing.usage.read()
    assert frame.values.shape == (100_000, len(Column))
    assert np.isfinite(frame.values).all()
    assert (frame.column(Column.CPU_TIME) > 0).all()


def test_nonsense_is_refused() -> None:
    world = World(SMALL)
    with pytest.raises(Invalid):
        world.advance(-1)
    with pytest.raises(Invalid):
        Demand(cpu_cores=float("nan"))
    with pytest.raises(Invalid):
        Series(demands=[], step_s=1)
    with pytest.raises(NotFound):
        world.service(VMId("nobody"))
    with pytest.raises(Conflict):
        world.place(world.vms("host-0")[0], "host-0")
