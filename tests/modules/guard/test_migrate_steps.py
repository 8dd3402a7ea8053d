"""Moves by steps on the simulator: one running copy, no VM made to stand still unless that was allowed."""

import asyncio

import pytest

from tests.modules.guard.bench import Bench
from yamori.drivers.simulator import Demand, Fault
from yamori.model.actions import Migrate
from yamori.model.errors import Conflict, Failed, Interrupted, Rejected, Unreachable, Unsupported
from yamori.model.ids import HostId
from yamori.model.vm import PowerState
from yamori.modules.guard.steps import MigrateSteps


async def moved(bench, context, action, before):
    task = asyncio.create_task(MigrateSteps().apply(action, before, context))
    for _ in range(200):
        if task.done():
            break
        bench.world.advance(0.5)
        for _ in range(4):
            await asyncio.sleep(0)
    await task


async def test_a_move_ends_with_one_running_copy_at_the_destination():
    bench = Bench()
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    assert (before["from"], before["to"], before["storage"]) == ("a", "b", "shared")
    await moved(bench, context, action, before)
    assert await MigrateSteps().verify(action, before, context) == {"host": "b", "copies": 1}
    await MigrateSteps().apply(action, before, context)  # resumed after the end: nothing more to do
    await MigrateSteps().undo(action, before, context)
    assert (await bench.b.sensing.inventory.vm(bench.vm)).state is PowerState.RUNNING


async def test_a_resumed_move_joins_the_one_under_way():
    bench = Bench()
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    first = asyncio.create_task(MigrateSteps().apply(action, before, context))
    for _ in range(4):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    with pytest.raises(Conflict, match="moved already"):
        await MigrateSteps().check(action, context)
    await moved(bench, context, action, before)
    assert (await MigrateSteps().verify(action, before, context))["copies"] == 1


async def test_a_failed_move_leaves_the_vm_where_it_was():
    bench = Bench()
    bench.world.set_demand(bench.vm, Demand())
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    bench.world.faults.add(Fault(operation="migration.run", raises=Unreachable, at_progress=0.5))
    with pytest.raises(Failed):
        await moved(bench, context, action, before)
    with pytest.raises(Rejected):
        await MigrateSteps().verify(action, before, context)
    await MigrateSteps().undo(action, before, context)
    assert (await bench.a.sensing.inventory.vm(bench.vm)).state is PowerState.RUNNING


async def test_undoing_a_move_under_way_cancels_it():
    bench = Bench()
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    task = asyncio.create_task(MigrateSteps().apply(action, before, context))
    for _ in range(4):
        await asyncio.sleep(0)
    await MigrateSteps().undo(action, before, context)
    with pytest.raises(Interrupted):
        await task
    assert (await bench.a.sensing.inventory.vm(bench.vm)).state is PowerState.RUNNING


def still(bench):
    """Let the VM be one that stands still while it is sent."""
    bench.world.columns.moves_live[bench.world.row(bench.vm)] = False


async def test_a_check_notes_how_the_move_would_go():
    bench = Bench()
    context = await bench.context(landing=True)
    before = await MigrateSteps().check(Migrate(vm=bench.vm, to=HostId("b")), context)
    assert before["forecast"]["live"] is True
    assert before["forecast"]["downtime_s"] == pytest.approx(0.305)


async def test_a_vm_that_would_stand_still_is_refused_before_anything_begins():
    bench = Bench()
    still(bench)
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    with pytest.raises(Unsupported, match="stands still while") as refused:
        await MigrateSteps().check(action, context)
    assert refused.value.capability == "migration.live"
    assert "allow" in refused.value.mend
    assert await bench.a.sensing.migration.status(bench.vm) is None
    assert (await bench.a.sensing.inventory.vm(bench.vm)).state is PowerState.RUNNING


async def test_a_vm_that_may_stand_still_is_moved_and_how_long_is_noted_beforehand():
    bench = Bench()
    still(bench)
    action = Migrate(vm=bench.vm, to=HostId("b"), stopping=True)
    context = await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    assert before["forecast"]["live"] is False
    assert before["forecast"]["downtime_s"] > 0
    await moved(bench, context, action, before)
    assert await MigrateSteps().verify(action, before, context) == {"host": "b", "copies": 1}


async def test_undoing_a_move_of_a_vm_that_stands_still_lets_it_go_on():
    bench = Bench()
    still(bench)
    action = Migrate(vm=bench.vm, to=HostId("b"), stopping=True)
    context = await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    task = asyncio.create_task(MigrateSteps().apply(action, before, context))
    for _ in range(4):
        await asyncio.sleep(0)
    assert (await bench.a.sensing.inventory.vm(bench.vm)).state is PowerState.PAUSED
    with pytest.raises(Conflict, match="while it is moved"):
        await bench.a.acting.power.resume(bench.vm)
    await MigrateSteps().undo(action, before, context)
    with pytest.raises(Interrupted):
        await task
    assert (await bench.a.sensing.inventory.vm(bench.vm)).state is PowerState.RUNNING


async def test_a_move_that_cannot_be_stopped_says_so_when_it_is_undone_and_goes_on():
    bench = Bench(without={"migration.cancel": "what has begun goes on"})
    action, context = Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=True)
    before = await MigrateSteps().check(action, context)
    task = asyncio.create_task(MigrateSteps().apply(action, before, context))
    for _ in range(4):
        await asyncio.sleep(0)
    with pytest.raises(Unsupported, match="what has begun goes on"):
        await MigrateSteps().undo(action, before, context)
    bench.world.advance(20)
    await task
    assert (await MigrateSteps().verify(action, before, context))["copies"] == 1


async def test_a_move_without_a_destination_is_refused():
    bench = Bench()
    with pytest.raises(Conflict):
        await MigrateSteps().check(Migrate(vm=bench.vm), await bench.context())


async def test_a_stopped_vm_is_not_moved():
    bench = Bench()
    await bench.a.acting.power.stop(bench.vm, force=True)
    with pytest.raises(Conflict):
        await MigrateSteps().check(Migrate(vm=bench.vm, to=HostId("b")), await bench.context(landing=False))
