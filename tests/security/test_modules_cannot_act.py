"""A module judges and asks. It reaches no hypervisor, and what it asks for beyond its card is not even heard."""

import dataclasses
import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from yamori.capabilities.sensing.usage import UsageFrame, merge
from yamori.control.seat import seat
from yamori.control.sensors import MomentSensors
from yamori.manifest.module import FleetView, ModuleManifest
from yamori.model.actions import Migrate, Throttle
from yamori.model.errors import Defect, Invalid, NotPermitted
from yamori.model.finding import Coverage, Finding, Severity
from yamori.model.ids import FindingId, RuleId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.workflow.plan import plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VICTIM = VMId("00000000-0000-4000-8000-000000000001")


class NoSettings(BaseModel, extra="forbid", frozen=True):
    pass


def finding() -> Finding:
    return Finding(
        id=FindingId("f1"),
        key="k",
        module="odd",
        kind="odd",
        severity=Severity.LOW,
        confidence=0.5,
        summary="",
        host=None,
        cause=VICTIM,
        victims=(),
        resource=None,
        nature="unknown",
        evidence=(),
        coverage=Coverage(examined=1, of=1),
        opened_at=NOW,
        updated_at=NOW,
    )


def proposal(action: Throttle | Migrate) -> Proposal:
    return Proposal(action=action, by="odd", reason="", finding=FindingId("f1"), proposed_at=NOW)


THROTTLE = Throttle(vm=VICTIM, limits={LimitKind.CPU_CAP: 0.1}, expires_after_s=60.0)


async def sense(sensors: Any, settings: Any) -> AsyncIterator[Any]:
    yield sensors.usage()


def assess(observation: Any, memory: Any, settings: Any) -> tuple[Any, Sequence[Finding]]:
    return memory, [finding()]


def manifest(**changes: Any) -> ModuleManifest:
    card = {
        "name": "odd",
        "summary": "A module that goes wrong.",
        "settings": NoSettings,
        "reads": frozenset({"usage"}),
        "wants": frozenset(),
        "proposes": frozenset({"throttle"}),
        "memory": dict,
        "sense": sense,
        "assess": assess,
        "respond": lambda found, view, settings: [proposal(THROTTLE)],
    }
    return ModuleManifest(**card | changes)


def sensors() -> MomentSensors:
    view = FleetView(now=NOW, vms={}, classes={}, holds={}, kinds={}, can_migrate=frozenset())
    return MomentSensors(merge([], NOW), view, {})


def reachable(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Everything that can be had from a value by attributes, items and slots, private ones included."""
    if id(thing) in seen or isinstance(thing, type | str | bytes | int | float | np.ndarray):
        return
    seen.add(id(thing))
    yield thing
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            yield from reachable(getattr(thing, field.name), seen)
    if isinstance(thing, dict):
        for item in [*thing.keys(), *thing.values()]:
            yield from reachable(item, seen)
    if isinstance(thing, list | tuple | set | frozenset):
        for item in thing:
            yield from reachable(item, seen)
    for value in vars(thing).values() if hasattr(thing, "__dict__") else ():
        yield from reachable(value, seen)


def test_a_module_is_handed_plain_values_and_nothing_to_act_with() -> None:
    for thing in reachable(sensors(), set()):
        module = type(thing).__module__
        assert module.startswith(
            ("builtins", "datetime", "yamori.model", "yamori.manifest", "yamori.control.sensors")
        ) or isinstance(thing, UsageFrame), type(thing)
        assert not [n for n, f in inspect.getmembers(type(thing)) if inspect.iscoroutinefunction(f)], type(thing)


async def test_a_proposal_on_the_card_is_heard() -> None:
    judged = await seat(manifest(), {}).judge(sensors())
    assert [p.action for p in judged.proposals] == [THROTTLE]
    assert judged.failed is None


async def test_a_proposal_that_the_card_denies_is_not_heard_and_the_module_is_reported() -> None:
    odd = manifest(respond=lambda found, view, settings: [proposal(THROTTLE), proposal(Migrate(vm=VICTIM))])
    judged = await seat(odd, {}).judge(sensors())
    assert judged.proposals == ()
    assert judged.failed is not None
    assert "migrate" in judged.failed


@pytest.mark.parametrize("phase", ["sense", "assess", "respond"])
async def test_a_module_that_breaks_is_reported_and_never_passes_for_fine(phase: str) -> None:
    def broken(*arguments: Any) -> Any:
        raise ZeroDivisionError(phase)

    judged = await seat(manifest(**{phase: broken}), {}).judge(sensors())
    assert judged.failed is not None
    assert "ZeroDivisionError" in judged.failed
    assert judged.findings == ()
    assert judged.proposals == ()


def test_a_card_with_a_verb_that_does_not_exist_is_not_seated() -> None:
    with pytest.raises(Defect):
        seat(manifest(proposes=frozenset({"destroy"})), {})


def test_a_setting_that_a_module_does_not_know_is_an_error() -> None:
    with pytest.raises(Invalid):
        seat(manifest(), {"speed": 11})


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.ALLOW])
def test_no_run_begins_without_a_decision_that_allows_it(verdict: Verdict) -> None:
    asked = proposal(THROTTLE)
    decision = Decision(verdict=verdict, rule=RuleId("r"), reason="no", action=THROTTLE, decided_at=NOW)
    with pytest.raises(NotPermitted):
        plan(VICTIM, asked, decision, NOW)
