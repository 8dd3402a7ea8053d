"""The contract of modules: the guard keeps it on a simulated attack, and modules that break it are caught."""

import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.drivers.simulator import Demand, HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.manifest.module import FleetView, ModuleManifest, Sensors
from yamori.model.actions import Migrate, Throttle
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.ids import EndpointName, FindingId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori.model.sla import STANDARD_CLASSES
from yamori.modules.guard import MODULE as GUARD
from yamori.testing.module import IDS, ModuleContract, Moment, fleet, frame, steady

GIB = 1024**3


async def attacked() -> list[Moment]:
    """A calm simulated host, on which one VM then burns all the CPU it can get."""
    shape = WorldShape(
        hosts=1, vms_per_host=8, host=HostShape(cpus=4, memory_bytes=32 * GIB), step_s=0.5, jitter=0.02
    )
    world = World(shape)
    session = SimulatorSession(world, EndpointName("alpha"))
    assert session.acting.power is not None
    assert session.sensing.usage is not None
    for vm in world.vms():
        world.set_demand(vm, Demand(cpu_cores=0.4))
    big = VMShape(vcpus=8, memory_bytes=4 * GIB)
    attacker = world.define("host-0", name="attacker", shape=big, labels={"sla": "bronze"})
    await session.acting.power.start(attacker)
    moments = []
    for second in range(60):
        if second == 35:
            world.set_demand(attacker, Demand(cpu_cores=8))
        world.advance(1.0)
        listing = await session.sensing.inventory.read()
        view = FleetView(
            now=world.clock.wall,
            vms={vm.id: vm for vm in listing.vms},
            classes=STANDARD_CLASSES,
            holds={},
            kinds={host.id: frozenset(LimitKind) for host in listing.hosts},
            can_migrate=frozenset(),
        )
        moments.append(Moment(frame=await session.sensing.usage.read(), fleet=view))
    return moments


class TestGuard(ModuleContract):
    @pytest.fixture
    def module(self) -> ModuleManifest:
        return GUARD

    @pytest.fixture
    async def trouble(self) -> Sequence[Moment]:
        return await attacked()


# --- a small honest module, and what can be wrong with one -------------------------------------------------------


class NoSettings(BaseModel):
    pass


async def sense(sensors: Sensors, settings: NoSettings) -> AsyncIterator[UsageFrame]:
    del settings
    yield sensors.usage()


def assess(seen: UsageFrame, memory: dict[str, int], settings: NoSettings) -> tuple[dict[str, int], list[Finding]]:
    """Whoever has all its memory in use is a finding."""
    del settings
    found = []
    for row, vm in enumerate(seen.vms):
        usable = float(seen.column(Column.MEMORY_USABLE)[row])
        if usable == 0.0:
            found.append(
                Finding(
                    id=FindingId(f"full-{vm}"),
                    key=f"full:{vm}",
                    module="full",
                    kind="full",
                    severity=Severity.LOW,
                    confidence=0.5,
                    summary="uses all its memory",
                    host=None,
                    cause=vm,
                    victims=(),
                    resource="memory",
                    nature="unknown",
                    evidence=(Evidence(what="usable memory", subject=vm, value=usable, unit="B"),),
                    coverage=Coverage(examined=len(seen.vms), of=len(seen.vms)),
                    opened_at=seen.wall,
                    updated_at=seen.wall,
                )
            )
    return {"seen": memory["seen"] + 1}, found


def respond(finding: Finding, view: FleetView, settings: NoSettings) -> list[Proposal]:
    del settings
    vm = view.vms.get(finding.cause) if finding.cause else None
    if vm is None or vm.host is None or not finding.evidence or LimitKind.CPU_CAP not in view.kinds[vm.host]:
        return []
    action = Throttle(vm=vm.id, limits={LimitKind.CPU_CAP: 1.0}, expires_after_s=60.0)
    return [Proposal(action=action, by="full", reason=finding.summary, finding=finding.id, proposed_at=view.now)]


HONEST = ModuleManifest(
    name="full",
    summary="Finds VMs that use all their memory",
    settings=NoSettings,
    reads=frozenset({"usage"}),
    wants=frozenset(),
    proposes=frozenset({"throttle"}),
    memory=lambda: {"seen": 0},
    sense=sense,
    assess=assess,
    respond=respond,
)


def trouble() -> list[Moment]:
    moments = []
    for number in range(5):
        values = steady(number)
        values[1, Column.MEMORY_USABLE] = 0.0
        moments.append(Moment(frame=frame(number, values), fleet=fleet(number)))
    return moments


def with_action(change: Callable[[Proposal], Proposal]) -> ModuleManifest:
    def other(finding: Finding, view: FleetView, settings: NoSettings) -> list[Proposal]:
        return [change(proposal) for proposal in respond(finding, view, settings)]

    return dataclasses.replace(HONEST, respond=other)


def impure() -> ModuleManifest:
    calls = itertools.count()

    def other(seen: UsageFrame, memory: Any, settings: NoSettings) -> tuple[Any, list[Finding]]:
        memory, found = assess(seen, memory, settings)
        return memory, [dataclasses.replace(each, summary=f"call {next(calls)}") for each in found]

    return dataclasses.replace(HONEST, assess=other)


def writing_into_memory() -> ModuleManifest:
    def other(seen: UsageFrame, memory: Any, settings: NoSettings) -> tuple[Any, list[Finding]]:
        memory["seen"] += 1
        _, found = assess(seen, memory, settings)
        return memory, [dataclasses.replace(each, summary=f"seen {memory['seen']}") for each in found]

    return dataclasses.replace(HONEST, assess=other)


def taking_nan_for_zero() -> ModuleManifest:
    def other(seen: UsageFrame, memory: Any, settings: NoSettings) -> tuple[Any, list[Finding]]:
        values = seen.values.copy()
        values[np.isnan(values)] = 0.0
        return assess(dataclasses.replace(seen, values=values), memory, settings)

    return dataclasses.replace(HONEST, assess=other)


def blind_to_means() -> ModuleManifest:
    def other(finding: Finding, view: FleetView, settings: NoSettings) -> list[Proposal]:
        able = dataclasses.replace(view, kinds=dict.fromkeys(view.kinds, frozenset(LimitKind)))
        return respond(finding, able, settings)

    return dataclasses.replace(HONEST, respond=other)


def needing_no_evidence() -> ModuleManifest:
    def other(finding: Finding, view: FleetView, settings: NoSettings) -> list[Proposal]:
        made_up = Evidence(what="a feeling", subject="x", value=1.0, unit="")
        return respond(dataclasses.replace(finding, evidence=(made_up,)), view, settings)

    return dataclasses.replace(HONEST, respond=other)


PLAYED = "test_trouble_is_found_and_something_is_proposed"
CASES: dict[str, tuple[ModuleManifest, str]] = {
    "is impure": (impure(), PLAYED),
    "writes into its memory": (writing_into_memory(), PLAYED),
    "asks for a verb that is not on its card": (
        with_action(lambda p: dataclasses.replace(p, action=Migrate(vm=IDS[1]))),
        PLAYED,
    ),
    "lets a throttle last for ever": (
        with_action(
            lambda p: dataclasses.replace(p, action=dataclasses.replace(p.action, expires_after_s=float("inf")))
        ),
        PLAYED,
    ),
    "gives no reason": (with_action(lambda p: dataclasses.replace(p, reason=" ")), PLAYED),
    "names no finding": (with_action(lambda p: dataclasses.replace(p, finding=None)), PLAYED),
    "takes what it does not know for zero": (taking_nan_for_zero(), "test_what_is_not_known_is_no_reason_to_act"),
    "is blind to what can be done": (
        blind_to_means(),
        "test_without_means_to_act_no_such_action_is_proposed",
    ),
    "needs no evidence": (needing_no_evidence(), "test_no_evidence_no_proposal"),
    "does nothing": (
        dataclasses.replace(HONEST, assess=lambda seen, memory, settings: (memory, [])),
        PLAYED,
    ),
    "claims a sense that there is not": (
        dataclasses.replace(HONEST, reads=frozenset({"telepathy"})),
        "test_the_card_is_complete",
    ),
}


async def keep(module: ModuleManifest, promise: str) -> None:
    arguments = {
        "test_what_is_not_known_is_no_reason_to_act": (frozenset({Column.RUNNING}),),
        "test_the_card_is_complete": (),
    }.get(promise, (trouble(),))
    done = getattr(ModuleContract(), promise)(module, *arguments)
    if done is not None:
        await done


@pytest.mark.parametrize("case", CASES)
async def test_the_contract_catches_a_module_that(case: str) -> None:
    module, promise = CASES[case]
    await keep(HONEST, promise)
    with pytest.raises(AssertionError):
        await keep(module, promise)
