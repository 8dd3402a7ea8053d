"""What operators do, and what others do behind Yamori's back: verified, told, respected, let go in time."""

import asyncio
from pathlib import Path

import pytest

from tests.scenarios.fleet import SimulatedFleet, until
from yamori.control.facade import Contact, EventKind
from yamori.drivers.simulator import Fault
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import Conflict
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Verdict
from yamori.model.run import Run, RunState

CAP = LimitKind.CPU_CAP


def throttle(vm: VMId, cores: float = 0.5, seconds: float = 300.0) -> Throttle:
    return Throttle(vm=vm, limits={CAP: cores}, expires_after_s=seconds)


async def ended(facade: object, run: Run | None) -> Run:
    assert run is not None
    return await facade.wait(run.id)  # type: ignore[attr-defined,no-any-return]


async def test_a_throttle_is_verified_by_reading_back_and_released_at_its_end(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s", modules={"guard": {}}) as service:
        facade = service.facade
        decision, run = await facade.request(throttle(vm, seconds=20), by="op", reason="test", dry_run=False)
        assert decision.verdict is Verdict.ALLOW
        assert (await ended(facade, run)).state is RunState.VERIFIED
        assert (await facade.limits(vm)).values[CAP] == pytest.approx(0.5)
        assert facade.vm(vm).hold is not None

        async def free() -> bool:
            return facade.vm(vm).hold is None

        await until(free)
        assert (await facade.limits(vm)).values[CAP] is None
        released = next(r for r in await facade.runs(limit=5) if isinstance(r.decision.action, Release))
        assert released.decision.rule == "builtin:expiry"
        assert await facade.verify_ledger() > 0


async def test_a_dry_run_changes_nothing_and_is_not_recorded(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        before = await service.facade.verify_ledger()
        decision, run = await service.facade.request(throttle(vm), by="op", reason="test", dry_run=True)
        assert decision.verdict is Verdict.ALLOW
        assert run is not None
        assert run.state is RunState.PLANNED
        assert (await service.facade.limits(vm)).values[CAP] is None
        assert await service.facade.runs(limit=5) == []
        assert await service.facade.verify_ledger() == before


async def test_undoing_a_throttle_gives_back_what_held_before(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    fleet.world.limit(vm, {CAP: 3.0})
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        _, run = await facade.request(throttle(vm), by="op", reason="test", dry_run=False)
        done = await ended(facade, run)
        undone = await facade.undo(done.id, by="op")
        assert undone.state is RunState.UNDONE
        assert (await facade.limits(vm)).values[CAP] == pytest.approx(3.0)
        assert facade.vm(vm).hold is None
        with pytest.raises(Conflict):
            await facade.undo(done.id, by="op")


async def test_a_limit_set_by_hand_is_shown_and_recorded_and_stays(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        await asyncio.sleep(0.5)
        fleet.world.limit(vm, {CAP: 0.7})

        async def shown() -> bool:
            return any("cpu_cap" in line for line in facade.vm(vm).drift)

        await until(shown)

        async def recorded() -> bool:
            return any(r["kind"] == "drift" for r in await facade.ledger(after=0, limit=1000))

        await until(recorded)
        assert (await facade.limits(vm)).values[CAP] == pytest.approx(0.7)


async def test_a_hand_on_our_throttle_is_never_overwritten(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        _, run = await facade.request(throttle(vm, seconds=30), by="op", reason="test", dry_run=False)
        await ended(facade, run)
        await asyncio.sleep(0.3)
        fleet.world.limit(vm, {CAP: 1.5})

        async def shown() -> bool:
            return bool(facade.vm(vm).drift)

        await until(shown)
        _, again = await facade.request(throttle(vm, cores=0.2), by="op", reason="test", dry_run=False)
        assert (await ended(facade, again)).state is RunState.REFUSED

        async def free() -> bool:
            return facade.vm(vm).hold is None

        await until(free)
        assert (await facade.limits(vm)).values[CAP] == pytest.approx(1.5)


async def test_a_hold_survives_a_restart_and_still_ends_in_time(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        _, run = await service.facade.request(throttle(vm, seconds=25), by="op", reason="test", dry_run=False)
        await ended(service.facade, run)
    async with fleet.service(tmp_path / "s") as service:
        assert service.facade.vm(vm).hold is not None
        assert service.facade.vm(vm).drift == ()

        async def free() -> bool:
            return service.facade.vm(vm).hold is None

        await until(free)
        assert (await service.facade.limits(vm)).values[CAP] is None


async def test_the_hold_on_a_vm_that_is_gone_ends_too(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        _, run = await facade.request(throttle(vm, seconds=20), by="op", reason="test", dry_run=False)
        assert (await ended(facade, run)).state is RunState.VERIFIED
        fleet.world.vanish(vm)

        async def let_go() -> bool:
            return any(
                isinstance(r.decision.action, Release) and r.state is RunState.VERIFIED
                for r in await facade.runs(limit=5)
            )

        await until(let_go)


async def test_a_vm_moves_and_runs_exactly_once(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        _, run = await facade.request(Migrate(vm=vm), by="op", reason="test", dry_run=False)
        done = await ended(facade, run)
        assert done.state is RunState.VERIFIED, done.error
        assert fleet.world.host_of(vm) == "host-1"

        async def seen() -> bool:
            return facade.host_of(vm) == HostId("beta")

        await until(seen)
        back = await facade.undo(done.id, by="op")
        assert back.state is RunState.VERIFIED
        assert fleet.world.host_of(vm) == "host-0"


async def test_a_move_that_breaks_leaves_the_vm_at_its_source(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    vm = fleet.vms("host-0")[0]
    fleet.world.faults.add(Fault(operation="migration.run", vm=vm, times=None, at_progress=0.5))
    async with fleet.service(tmp_path / "s") as service:
        _, run = await service.facade.request(Migrate(vm=vm), by="op", reason="test", dry_run=False)
        assert (await ended(service.facade, run)).state is RunState.UNDONE
        assert fleet.world.host_of(vm) == "host-0"


async def test_an_endpoint_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    fleet = SimulatedFleet()
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        fleet.world.faults.add(Fault(operation="usage.read", endpoint="beta", times=1, delay_s=300.0))
        missing: list[int] = []
        async for event in facade.events():
            if event.kind is EventKind.TICK and "beta" in event.body["missing"]:
                missing.append(event.body["vms"])
                if len(missing) == 10:
                    break
        assert set(missing) == {4}
        assert next(e for e in facade.endpoints() if e.name == "alpha").contact is Contact.UP
