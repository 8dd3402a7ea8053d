"""QEMU, Xen and vSphere under one policy, for minutes, while things break: nothing is lost, done twice or made up.

YAMORI_MIXED_S: seconds that it goes on (default: once through all faults).
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab_session import why_not
from tests.mixed.faults import KVM, VCENTER, XEN, Trouble, troubles
from tests.mixed.watch import Watch
from yamori import wiring
from yamori.control.configuration import configure
from yamori.control.facade import Contact, Facade
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.lab.xen.agent import XenAgent
from yamori.model.actions import Release, Throttle
from yamori.model.errors import Failed
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.run import RunState
from yamori.model.vm import PowerState
from yamori.workflow.clock import SystemClock

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(2400)]

SECONDS = float(os.environ.get("YAMORI_MIXED_S", "0"))
CALM_S = 8.0
BACK_LIMIT_S = 240.0
"""The agent's start takes a minute in an emulated dom0 that shares two cores with two attacks."""
ENDED_LIMIT_S = 240.0
HOLD_S = SECONDS + 900.0
ATTACK_S = 180
CAP = 0.4
POLICY = """
version: 1
longest: 2h
classes:
  gold: {objectives: {cpu_delay: 40%, disk_latency: 80ms}}
  silver: {objectives: {cpu_delay: 40%, disk_latency: 100ms}}
  bronze: {objectives: {cpu_delay: 80%, disk_latency: 300ms}, floors: {cpu: 0.2, memory: 10%}}
rules:
  - id: hold
    when: {verb: throttle, module: guard, vm: {sla: [bronze, silver]}}
    decision: allow
    mode: enforce
    expires: 2m
  - {id: watch, decision: allow, mode: observe}
"""


@pytest.fixture
async def mixed() -> AsyncIterator[Lab]:
    """One QEMU host, one Xen host, one vCenter."""
    if (reason := why_not()) is not None:
        pytest.skip(f"NO LAB ON THIS MACHINE: {reason}")
    name = f"mixed-{os.getpid()}"
    spec = LabSpec(name=name, hosts=1, guests_per_host=3, xen_hosts=1, vcenter=True)
    lab = await Lab.up(spec)
    try:
        yield lab
    finally:
        await clear_lab(name)


@pytest.fixture
async def service(mixed: Lab, tmp_path: Path) -> AsyncIterator[wiring.Service]:
    fleet = mixed.fleet_config()
    for endpoint in fleet["endpoints"]:
        if endpoint["name"] == XEN:
            endpoint["agent"] = "remote"
    fleet |= {"agents": {"listen": f"{mixed.layout.root_address}:8471"}, "recording": {"enabled": False}}
    async with wiring.service(
        configure(json.dumps(fleet), "the mixed lab"),
        policy_text=POLICY,
        policy_source="test policy",
        state_dir=tmp_path / "state",
        listen="127.0.0.1:0",
        clock=SystemClock(),
    ) as running:
        yield running


@pytest.fixture
async def agent(mixed: Lab, service: wiring.Service) -> XenAgent:
    made = XenAgent(mixed.xen_host(XEN))
    await asyncio.to_thread(made.install)
    invitation = await service.facade.invite_agent(XEN, by="test")
    await asyncio.to_thread(made.enrol, invitation.controller, invitation.token)
    await asyncio.to_thread(made.start)
    return made


async def complete(facade: Facade, *names: str, limit_s: float = BACK_LIMIT_S) -> None:
    """Wait until the endpoints answer in full."""
    deadline = time.monotonic() + limit_s
    while True:
        standing = {e.name: e for e in facade.endpoints() if not names or e.name in names}
        bad = {
            n: e.error or e.gap or e.contact for n, e in standing.items() if e.contact is not Contact.UP or e.gap
        }
        if not bad and all(e.hosts for e in standing.values()):
            return
        assert time.monotonic() < deadline, f"not back within {limit_s:.0f} s: {bad}"
        await asyncio.sleep(0.5)


async def test_a_mixed_fleet_under_faults_loses_nothing_and_acts_once(
    mixed: Lab, service: wiring.Service, agent: XenAgent
) -> None:
    facade = service.facade
    await complete(facade)
    expected = {plan.uuid for plan in mixed.spec.guests()}
    assert expected <= {v.vm.id for v in facade.vms()}
    assert {v.endpoint for v in facade.vms()} == {KVM, XEN, VCENTER}
    held = await _hold_one_everywhere(facade, mixed)
    watch = Watch(facade)
    watching = asyncio.create_task(watch.run())
    deadline = time.monotonic() + SECONDS
    rounds = 0
    try:
        while not rounds or time.monotonic() < deadline:
            await _attack_one_of_each(facade, mixed, held)
            for trouble in troubles(mixed, agent):
                await _through(trouble, watch, facade)
                for vm in held:
                    assert await _cap_of(facade, vm) == pytest.approx(CAP, rel=0.05), trouble
            rounds += 1
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert not watch.wrong
    assert watch.looks > 0
    await _let_go(facade, held)
    await service.facade.verify_ledger()
    assert [await _cap_of(facade, vm) for vm in held] == [None] * len(held)
    states = {r.state for r in await facade.runs(limit=500)}
    assert states <= {RunState.VERIFIED, RunState.REFUSED, RunState.UNDONE}, states


async def _hold_one_everywhere(facade: Facade, lab: Lab) -> list[VMId]:
    """Have an operator throttle a VM of each family for a time that outlasts the test. Gold is never throttled."""
    chosen: list[VMId] = []
    for endpoint in (KVM, XEN, VCENTER):
        view = next(
            v
            for v in facade.vms()
            if v.endpoint == endpoint
            and v.vm.state is PowerState.RUNNING
            and v.vm.labels.get("sla") in ("bronze", "silver", None)
        )
        await _done(facade, Throttle(vm=view.vm.id, limits={LimitKind.CPU_CAP: CAP}, expires_after_s=HOLD_S))
        read = await facade.limits(view.vm.id)
        assert read.values[LimitKind.CPU_CAP] == pytest.approx(CAP, rel=0.05), endpoint
        chosen.append(view.vm.id)
    return chosen


async def _attack_one_of_each(facade: Facade, lab: Lab, held: list[VMId]) -> None:
    """Have a guest of each host that nobody holds burn CPU: the faults meet machines that have work."""
    for endpoint in (KVM, XEN):
        free = next(v.vm.name for v in facade.vms() if v.endpoint == endpoint and v.vm.id not in held)
        await lab.attack(free, AttackKind.CPU, seconds=ATTACK_S)


async def _cap_of(facade: Facade, vm: VMId) -> float | None:
    """Read back what bounds a VM. A machine that just came back may answer late: it is asked again."""
    deadline = time.monotonic() + BACK_LIMIT_S
    while True:
        try:
            return (await facade.limits(vm)).values.get(LimitKind.CPU_CAP)
        except Failed as error:
            if not error.transient or time.monotonic() > deadline:
                raise
            await asyncio.sleep(1.0)


async def _let_go(facade: Facade, held: list[VMId]) -> None:
    for vm in held:
        await _done(facade, Release(vm=vm))


async def _done(facade: Facade, action: Throttle | Release) -> None:
    decision, run = await facade.request(action, by="test", reason="mixed fleet", dry_run=False)
    assert run is not None, decision
    async with asyncio.timeout(ENDED_LIMIT_S):
        ended = await facade.wait(run.id)
    assert ended.state is RunState.VERIFIED, ended.error


async def _through(trouble: Trouble, watch: Watch, facade: Facade) -> None:
    """Strike, and wait until all is well again; what must be seen as a gap must have been."""
    before = watch.gaps[EndpointName(trouble.endpoint)]
    await trouble.strike()
    await complete(facade)
    after = watch.gaps[EndpointName(trouble.endpoint)]
    assert not trouble.gap or after > before, f"{trouble.name} at {trouble.endpoint} was never shown as unknown"
    await asyncio.sleep(CALM_S)
