"""A hypervisor and the agent on its host are one endpoint; either may be away without taking the other along."""

import pytest

from tests.agent.halves import halves
from yamori.drivers.simulator import World, WorldShape
from yamori.model.errors import Conflict, Invalid, NotFound, Unreachable
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Level

CAP, IN, IOPS, WEIGHT = LimitKind.CPU_CAP, LimitKind.NET_IN, LimitKind.DISK_IOPS, LimitKind.CPU_WEIGHT


@pytest.fixture
def world() -> World:
    return World(WorldShape(hosts=1, vms_per_host=2))


async def test_the_matrix_says_who_provides_what(world: World) -> None:
    _, _, joined = halves(world)
    cells = (await joined.probe()).cells
    assert cells["power"].level is Level.NATIVE
    assert cells["limits.cpu_cap"].level is Level.NATIVE, "the hypervisor keeps it, whoever asks it to"
    assert cells["limits.net_in"].level is Level.AGENT
    assert cells["usage.disk_latency"].level is Level.AGENT


async def test_before_the_agent_is_met_what_it_may_add_is_unknown(world: World) -> None:
    _, agent, joined = halves(world)
    agent.cut()
    support = await joined.probe()
    assert support.provisional
    assert support.cells["limits.net_in"].level is Level.UNKNOWN
    assert "agent" in support.cells["limits.net_in"].reason
    assert support.cells["limits.cpu_cap"].level is Level.NATIVE
    agent.mend()
    support = await joined.probe()
    assert not support.provisional
    assert support.cells["limits.net_in"].level is Level.AGENT


async def test_limits_of_both_are_set_and_read_as_if_one_kept_them(world: World) -> None:
    _, _, joined = halves(world)
    await joined.probe()
    vm = world.vms()[0]
    assert joined.acting.limits is not None
    assert joined.sensing.limits is not None
    await joined.acting.limits.set(vm, {CAP: 0.5, IN: 1e6, WEIGHT: 2.0})
    read = await joined.sensing.limits.read(vm)
    assert (read.values[CAP], read.values[IN], read.values[WEIGHT]) == (0.5, 1e6, 2.0)
    assert not read.unknown


async def test_a_limit_that_the_agent_can_end_is_sent_through_it(world: World) -> None:
    _, _, joined = halves(world)
    await joined.probe()
    vm = world.vms()[0]
    assert joined.acting.limits is not None
    await joined.acting.limits.set(vm, {CAP: 0.5, WEIGHT: 2.0}, lapse_s=10)
    world.advance(11)
    assert joined.sensing.limits is not None
    read = await joined.sensing.limits.read(vm)
    assert read.values[CAP] is None
    assert read.values[WEIGHT] == 2.0, "nobody there ends this one by itself"


async def test_while_the_agent_is_away_its_limits_are_unknown_and_the_rest_is_told(world: World) -> None:
    _, agent, joined = halves(world)
    await joined.probe()
    agent.cut()
    vm = world.vms()[0]
    assert joined.sensing.limits is not None
    read = await joined.sensing.limits.read(vm)
    assert IN in read.unknown
    assert "agent" in read.unknown[IN]
    assert read.values[CAP] is None


async def test_while_the_agent_is_away_what_both_keep_goes_to_the_hypervisor(world: World) -> None:
    _, agent, joined = halves(world)
    await joined.probe()
    vm = world.vms()[0]
    assert joined.acting.limits is not None
    await joined.acting.limits.set(vm, {CAP: 0.5}, lapse_s=60)
    agent.cut()
    await joined.acting.limits.set(vm, {CAP: None})
    assert joined.sensing.limits is not None
    assert (await joined.sensing.limits.read(vm)).values[CAP] is None
    with pytest.raises(Unreachable):
        await joined.acting.limits.set(vm, {IOPS: 100.0})


async def test_a_value_without_sense_reaches_neither(world: World) -> None:
    _, _, joined = halves(world)
    await joined.probe()
    vm = world.vms()[0]
    assert joined.acting.limits is not None
    assert joined.sensing.limits is not None
    with pytest.raises(Invalid):
        await joined.acting.limits.set(vm, {WEIGHT: 2.0, IN: -1.0})
    assert (await joined.sensing.limits.read(vm)).values[WEIGHT] == 1.0


async def test_usage_fails_alone_while_the_agent_is_away(world: World) -> None:
    _, agent, joined = halves(world)
    await joined.probe()
    agent.cut()
    assert joined.sensing.usage is not None
    with pytest.raises(Unreachable):
        await joined.sensing.usage.read()
    assert len((await joined.sensing.inventory.read()).vms) == 2


async def test_a_vm_that_only_the_hypervisor_sees_is_not_running_rather_than_not_there() -> None:
    world = World(WorldShape(hosts=2, vms_per_host=1))
    _, _, joined = halves(world, agent_sees="host-1")
    await joined.probe()
    vm = world.vms("host-0")[0]
    assert joined.sensing.limits is not None
    assert joined.acting.limits is not None
    read = await joined.sensing.limits.read(vm)
    assert "sees only what runs" in read.unknown[IN]
    assert read.values[WEIGHT] is not None
    with pytest.raises(Conflict, match="sees only what runs"):
        await joined.acting.limits.set(vm, {IN: 1e6})
    with pytest.raises(NotFound):
        await joined.acting.limits.set(VMId("00000000-0000-4000-8000-000000000000"), {IN: 1e6})
