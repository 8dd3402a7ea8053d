"""What the models of a policy refuse beyond their shape, and what classes come out of them."""

import pytest

from tests.policy.situations import facts, migrate, policy, proposal
from yamori.model.actions import VERBS
from yamori.model.errors import Invalid
from yamori.model.sla import BRONZE, GOLD, Objective
from yamori.policy.decide import decide
from yamori.policy.reading import read_policy
from yamori.policy.rules import Operators, Verb


def test_a_policy_knows_every_verb_of_the_model() -> None:
    assert {verb.value for verb in Verb} == set(VERBS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "rules:\n- {id: a, decision: deny}\n- {id: a, decision: deny}",
            "p.yaml:4:8: rules[1].id: two rules have",
        ),
        (
            "rules:\n- {id: a, decision: deny, when: {module: x, operator: y}}",
            "module and operator exclude each other",
        ),
        ("classes: {a: {extends: b}, b: {extends: a}}", "extend one another in a circle"),
        (
            "classes:\n  a: {extends: gould}",
            "p.yaml:3:16: classes.a.extends: class 'a' extends 'gould', which is not",
        ),
        ("classes: {a: {extends: a}}", "in a circle"),
        ("longest: 60", "60 has no unit; write it like 60s or 60m"),
        ("longest: -5s", "is no span of time"),
        ("longest: 0s", "must be above 0"),
        ("classes: {a: {floors: {cpu: -1}}}", "-1 must not be negative"),
        ("classes: {a: {floors: {cpu: [1]}}}", "must be a number, not a list"),
        ("classes: {a: {floors: {memory: true}}}", "must be a number, not true"),
        ("classes: {a: {objectives: {cpu_delay: 150%}}}", "must be at most 1"),
        ("rules: {id: a}", "rules: must be a list, not a mapping"),
        ("classes: {A B: {}}", "must fit"),
        ("operators: {effects: [magic]}", "'magic' is not one of reversible"),
    ],
)
def test_each_is_refused_with_its_place_and_reason(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_policy(f"version: 1\n{text}\n", "p.yaml")
    assert words in str(caught.value)


def test_a_class_by_a_standard_name_changes_only_what_it_names() -> None:
    gold = policy(more="classes: {gold: {objectives: {disk_latency: 5ms}}}").sla_classes()["gold"]
    assert gold.objectives == {**GOLD.objectives, Objective.DISK_LATENCY: 0.005}
    assert gold.throttleable is False


def test_a_class_without_extends_promises_only_what_it_names() -> None:
    own = policy(more="classes: {own: {objectives: {net_drops: 1%}}}").sla_classes()["own"]
    assert own.objectives == {Objective.NET_DROPS: 0.01}
    assert own.throttleable is True


def test_extending_goes_over_several_steps_and_can_drop_a_promise() -> None:
    text = "classes: {a: {extends: bronze, floors: {cpu: 2}}, b: {extends: a, not_promised: [cpu_delay]}}"
    own = policy(more=text).sla_classes()["b"]
    assert own.floor_cpu_cores == 2
    assert set(own.objectives) == set(BRONZE.objectives) - {Objective.CPU_DELAY}


def test_what_is_not_reversible_needs_a_rule_even_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(migrate()), "effects", frozenset({"disruptive"}))
    ruled = decide(proposal(migrate(), by="operator:ann"), facts(), policy())
    assert (ruled.verdict, ruled.rule) == ("deny", "operators:default")
    assert Operators().braked is False
