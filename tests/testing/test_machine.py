"""The comparing machine finds no difference where there is none, and every difference that we plant."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.testing import broken
from tests.testing.test_kit import layer
from yamori.drivers.simulator import HostShape, SimulatorSession, World, WorldShape
from yamori.model.ids import EndpointName
from yamori.testing.machine import Opener, Side, machine

WHOLE = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def side(
    seed: int, make: Callable[[SimulatorSession], Any] = broken.Session, without: dict[str, str] | None = None
) -> Side:
    world = World(WorldShape(hosts=1, vms_per_host=3, host=HostShape(cpus=4), seed=seed, step_s=0.5))
    session = make(SimulatorSession(world, EndpointName(f"side-{seed}"), without=without))

    async def settle() -> None:
        world.advance(1.0)
        await asyncio.sleep(0)

    return Side(session=session, vms=world.vms(), settle=settle, close=session.close)


def opener(make: Callable[[SimulatorSession], Any], without: dict[str, str] | None = None) -> Opener:
    async def sides() -> tuple[Side, Side]:
        return side(1), side(2, make, without)

    return sides


def test_two_simulators_look_the_same_whatever_is_done_to_both() -> None:
    run_state_machine_as_test(machine(opener(broken.Session)), settings=WHOLE)


def test_what_one_side_does_not_claim_is_not_compared() -> None:
    without = {"limits.net_in": "no", "limits.cpu_pinning": "no", "usage": "no"}
    run_state_machine_as_test(machine(opener(broken.Session, without)), settings=WHOLE)


@pytest.mark.parametrize(
    "make",
    [
        layer(broken.ForgetsIdempotence, "acting", "power"),
        layer(broken.ResumesTheStopped, "acting", "power"),
        layer(broken.LiftsWhatIsNotNamed, "acting", "limits"),
        layer(broken.TakesAnyNumber, "acting", "limits"),
        layer(broken.ChangesBeforeItRefuses, "acting", "limits"),
        layer(broken.PinsNothing, "acting", "limits"),
    ],
    ids=["idempotence", "resume", "lifting", "any number", "half done", "pinning"],
)
def test_a_difference_is_found(make: Callable[[SimulatorSession], Any]) -> None:
    with pytest.raises(AssertionError, match=r"differs|of VM"):
        run_state_machine_as_test(machine(opener(make)), settings=WHOLE)
