"""The kill switch: modules see and say, and touch nothing; people still may; it survives a restart."""

import asyncio
from pathlib import Path

from tests.scenarios.fleet import GIB, SimulatedFleet, until
from yamori import wiring
from yamori.control.facade import KillSwitch
from yamori.drivers.simulator import Demand
from yamori.model.actions import Release, Throttle
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Verdict

QUIET = Demand(cpu_cores=0.3, disk_read_iops=100.0, working_set_bytes=0.5 * GIB)
NOISY = Demand(cpu_cores=0.3, disk_read_iops=30_000.0, working_set_bytes=0.5 * GIB)


async def only_watched(service: wiring.Service) -> bool:
    return any(
        ruling.decision.rule == "builtin:kill_switch" and ruling.decision.verdict is Verdict.OBSERVE_ONLY
        for ruling in await service.facade.rulings(limit=20)
    )


def noisy_fleet() -> tuple[SimulatedFleet, VMId]:
    fleet = SimulatedFleet()
    for vm in (*fleet.vms("host-0"), *fleet.vms("host-1")):
        fleet.world.set_demand(vm, QUIET)
    return fleet, fleet.vms("host-0")[0]


async def test_modules_only_observe_while_it_is_on_and_act_again_when_it_is_off(tmp_path: Path) -> None:
    fleet, offender = noisy_fleet()
    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        assert facade.kill_switch() == KillSwitch(on=False)
        told = await facade.throw_kill_switch(on=True, by="ann", reason="rack 4 is open")
        assert (told.on, told.by, told.reason) == (True, "operator:ann", "rack 4 is open")
        assert told == facade.kill_switch()
        await asyncio.sleep(2.0)
        fleet.world.set_demand(offender, NOISY)
        await until(lambda: only_watched(service))
        assert await facade.runs(limit=5) == []
        assert facade.vm(offender).hold is None

    async with fleet.service(tmp_path / "s") as service:
        facade = service.facade
        assert facade.kill_switch() == told, "a restart does not let modules act again"
        cap = Throttle(vm=fleet.vms("host-1")[0], limits={LimitKind.CPU_CAP: 0.5}, expires_after_s=300.0)
        decision, run = await facade.request(cap, by="ann", reason="by hand", dry_run=False)
        assert decision.verdict is Verdict.ALLOW, "people still may"
        assert run is not None
        await facade.wait(run.id)
        decision, _ = await facade.request(Release(vm=cap.vm), by="ann", reason="by hand", dry_run=False)
        assert decision.verdict is Verdict.ALLOW

        fleet.world.set_demand(offender, QUIET)
        await asyncio.sleep(2.0)
        await facade.throw_kill_switch(on=False, by="ann", reason="done")
        fleet.world.set_demand(offender, NOISY)

        async def held() -> bool:
            return facade.vm(offender).hold is not None

        await until(held)
        kinds = [record["kind"] for record in await facade.ledger(after=0, limit=1000)]
        assert kinds.count("kill_switch") == 2
        assert await facade.verify_ledger() >= len(kinds)
