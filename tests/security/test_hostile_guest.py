"""What a guest claims about itself puts the blame on nobody else."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.control.sensors import MomentSensors
from yamori.drivers.simulator import Demand, HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.drivers.simulator.columns import State
from yamori.manifest.module import FleetView
from yamori.model.change import ChangeKind
from yamori.model.finding import Finding
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.sla import STANDARD_CLASSES
from yamori.modules.guard import MODULE
from yamori.modules.guard.settings import GuardSettings

GUESTS_OWN_WORDS = (Column.MEMORY_USABLE, Column.MEMORY_FAULTS)
Lie = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
LIES: dict[str, Lie] = {
    "silence": lambda told, chance: np.full_like(told, np.nan),
    "nothing left": lambda told, chance: np.zeros_like(told),
    "all the world": lambda told, chance: np.full_like(told, 1e300),
    "endless": lambda told, chance: np.full_like(told, np.inf),
    "below nothing": lambda told, chance: np.full_like(told, -1e18),
    "anything": lambda told, chance: chance.uniform(-1e15, 1e15, told.shape),
}


async def story() -> list[tuple[UsageFrame, FleetView]]:
    """Readings of a small fleet in which one VM turns noisy, in CPU and then in memory."""
    gib = 1024**3
    world = World(WorldShape(hosts=1, vms_per_host=4, host=HostShape(cpus=4, memory_bytes=12 * gib), seed=3))
    vms = world.vms()
    shape = VMShape(vcpus=8, memory_bytes=10 * gib)
    noisy = world.define(world.host_of(vms[0]), name="noisy", shape=shape, labels={"sla": "bronze"})
    world.set_demands(vms, Demand(cpu_cores=0.8, working_set_bytes=1.5 * gib, touch_bytes_s=0.5 * gib))
    session = SimulatorSession(world, EndpointName("e"), hosts=[world.hardware.names[0]])
    world.set_state(noisy, State.RUNNING, ChangeKind.STARTED)
    listing = await session.sensing.inventory.read()
    moments = []
    for tick in range(60):
        if tick == 20:
            world.set_demand(noisy, Demand(cpu_cores=8.0))
        if tick == 40:
            world.set_demand(noisy, Demand(cpu_cores=1.0, working_set_bytes=10.0 * gib, touch_bytes_s=2.0 * gib))
        world.advance(1.0)
        assert session.sensing.usage is not None
        view = FleetView(
            now=world.clock.wall,
            vms={vm.id: vm for vm in listing.vms},
            classes=STANDARD_CLASSES,
            holds={},
            kinds={host.id: frozenset(LimitKind) for host in listing.hosts},
            can_migrate=frozenset(),
        )
        moments.append((await session.sensing.usage.read(), view))
    return moments


async def judged(
    moments: Sequence[tuple[UsageFrame, FleetView]], lie: Lie | None = None, liar: VMId | None = None
) -> list[tuple[int, Finding]]:
    """What the guard finds when one guest lies about itself; nobody acts on it."""
    chance = np.random.default_rng(1)
    memory = MODULE.memory()
    told: list[tuple[int, Finding]] = []
    for tick, (frame, view) in enumerate(moments):
        values = frame.values.copy()
        if lie is not None:
            where = np.ix_([frame.vms.index(vm) for vm in frame.vms if vm == liar], list(GUESTS_OWN_WORDS))
            values[where] = lie(values[where], chance)
        seen = MomentSensors(dataclasses.replace(frame, values=values), view, {})
        async for observation in MODULE.sense(seen, GuardSettings()):
            memory, found = MODULE.assess(observation, memory, GuardSettings())
            told.extend((tick, finding) for finding in found)
    return told


def blamed(findings: Sequence[tuple[int, Finding]], resource: str | None = None) -> set[VMId]:
    """Whom a throttle or a move could hit: causes of findings with victims."""
    return {
        finding.cause
        for _, finding in findings
        if finding.cause is not None and finding.victims and resource in (None, finding.resource)
    }


@pytest.mark.parametrize("lie", LIES)
async def test_a_guest_that_lies_about_itself_puts_the_blame_on_nobody_else(lie: str) -> None:
    moments = await story()
    honest = blamed(await judged(moments))
    assert len(honest) == 1, "the story has one offender"
    for liar in moments[0][0].vms:
        assert blamed(await judged(moments, LIES[lie], liar)) <= honest | {liar}


@pytest.mark.parametrize("lie", LIES)
async def test_what_a_hypervisor_measures_itself_no_guest_can_talk_away(lie: str) -> None:
    moments = await story()
    honest = blamed(await judged(moments), "cpu")
    assert honest
    for liar in moments[0][0].vms:
        assert blamed(await judged(moments, LIES[lie], liar), "cpu") >= honest


async def test_what_a_module_is_handed_cannot_be_written_to() -> None:
    """Frozen values; a module that tries to change the moment that others will judge fails by itself."""
    view = FleetView(
        now=datetime(2026, 1, 1, tzinfo=UTC),
        vms={},
        classes={},
        holds={},
        kinds={HostId("h"): frozenset()},
        can_migrate=frozenset(),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.vms = {}  # type: ignore[misc]
