"""VMs that cannot move live: said before anything begins, moved only where that is allowed, never by a module."""

from pathlib import Path

import pytest

from tests.scenarios.fleet import SimulatedFleet, until
from yamori.drivers.simulator import Demand
from yamori.drivers.simulator.columns import State
from yamori.model.actions import Migrate
from yamori.model.errors import Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.run import Run, RunState


def stand_still(fleet: SimulatedFleet, *vms: VMId) -> None:
    for vm in vms:
        fleet.world.columns.moves_live[fleet.world.row(vm)] = False


async def test_a_dry_run_says_how_long_a_vm_would_stand_still(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm, other = fleet.vms("host-0")[:2]
    stand_still(fleet, vm)
    async with fleet.service(tmp_path / "s") as service:
        request = service.facade.request
        with pytest.raises(Unsupported, match="stands still"):
            await request(Migrate(vm=vm), by="op", reason="test", dry_run=True)
        allowed = Migrate(vm=vm, stopping=True)
        _, run = await request(allowed, by="op", reason="test", dry_run=True)
        assert run is not None
        assert run.before is not None
        assert run.before["forecast"]["live"] is False
        assert run.before["forecast"]["downtime_s"] > 0
        _, run = await request(Migrate(vm=other), by="op", reason="test", dry_run=True)
        assert run is not None
        assert run.before is not None
        assert run.before["forecast"]["live"] is True
        assert fleet.world.host_of(vm) == fleet.world.host_of(other) == "host-0"


async def test_a_vm_that_may_stand_still_moves_there_and_back(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    stand_still(fleet, vm)
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        _, run = await facade.request(Migrate(vm=vm), by="op", reason="test", dry_run=False)
        assert run is not None
        refused = await facade.wait(run.id)
        assert refused.state is RunState.REFUSED
        assert "stands still" in (refused.error or "")
        assert fleet.world.host_of(vm) == "host-0"
        allowed = Migrate(vm=vm, stopping=True)
        _, run = await facade.request(allowed, by="op", reason="test", dry_run=False)
        assert run is not None
        done = await facade.wait(run.id)
        assert done.state is RunState.VERIFIED, done.error
        assert fleet.world.host_of(vm) == "host-1"
        assert "standing still if it must" in "\n".join((await facade.explain(done.id)).lines)

        async def seen() -> bool:
            return facade.host_of(vm) == HostId("beta")

        await until(seen)
        back = await facade.undo(done.id, by="op")
        assert back.state is RunState.VERIFIED, "whoever allowed it one way has allowed it back"
        assert fleet.world.host_of(vm) == "host-0"
        assert fleet.world.columns.state[fleet.world.row(vm)] == State.RUNNING


async def test_the_guard_goes_on_to_the_next_vm_when_one_cannot_move_live(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    here = fleet.vms("host-0")
    mobile = here[-1]
    stand_still(fleet, *(vm for vm in here if vm != mobile))
    fleet.world.set_demands(here, Demand(cpu_cores=2.5))
    guard = {"guard": {"migrate_s": 5.0, "again_s": 5.0}}
    async with fleet.service(tmp_path / "s", modules=guard) as service:

        async def moves() -> list[Run]:
            return [r for r in await service.facade.runs(limit=50) if isinstance(r.decision.action, Migrate)]

        async def moved() -> bool:
            return any(run.state is RunState.VERIFIED for run in await moves())

        await until(moved, limit_s=60.0)
        ended = {run.id: run for run in await moves()}.values()
        refused = [run for run in ended if run.state is RunState.REFUSED]
        assert refused, "one that stands still was asked for first"
        assert all("stands still" in (run.error or "") for run in refused)
        assert {run.subject for run in ended if run.state is RunState.VERIFIED} == {mobile}
        assert fleet.world.host_of(mobile) == "host-1"
        stayed = [vm for vm in here if vm != mobile]
        assert {fleet.world.host_of(vm) for vm in stayed} == {"host-0"}
        assert {int(fleet.world.columns.state[fleet.world.row(vm)]) for vm in stayed} == {State.RUNNING}
