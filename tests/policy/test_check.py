"""Warnings: what is legal and probably not meant."""

import pytest
from hypothesis import given, settings

from tests.policy.test_properties import all_facts, policies, proposals
from yamori.model.proposal import Proposal
from yamori.policy.check import Known, covers, warnings
from yamori.policy.decide import decide
from yamori.policy.facts import Facts
from yamori.policy.reading import default_policy, read_with_places
from yamori.policy.rules import Policy


def told(rules: str, more: str = "", known: Known | None = None) -> str:
    document, policy = read_with_places(f"version: 1\nrules:\n{rules}\n{more}", "p.yaml")
    return "\n".join(warnings(document, policy, known))


ENFORCE = "decision: allow, mode: enforce"


@pytest.mark.parametrize(
    ("rules", "more", "words"),
    [
        (
            f"- {{id: a, {ENFORCE}}}\n- {{id: b, when: {{verb: throttle}}, {ENFORCE}}}",
            "",
            "p.yaml:4:8: rules[1].id: rule b: is never reached: rule a above decides all that it speaks of",
        ),
        (
            f"- {{id: a, when: {{verb: [throttle, migrate], confidence_at_least: 10%}}, {ENFORCE}}}\n"
            f"- {{id: b, when: {{verb: throttle, confidence_at_least: 20%, nature: attack}}, {ENFORCE}}}",
            "",
            "rule b: is never reached",
        ),
        (f"- {{id: a, when: {{vm: {{sla: goold}}}}, {ENFORCE}}}", "", "no SLA class is called 'goold'"),
        (f"- {{id: a, when: {{verb: throttle, vm: {{sla: gold}}}}, {ENFORCE}}}", "", "can never enforce"),
        (f"- {{id: a, when: {{verb: throttle, effects: disruptive}}, {ENFORCE}}}", "", "it never matches"),
        (f"- {{id: a, expires: 2h, {ENFORCE}}}", "", "is longer than the policy's longest, 3600s"),
        ("- {id: a, when: {operator: x, verb: release}, decision: deny, mode: enforce}", "", "changes nothing"),
        ("- {id: a, decision: allow}", "", "p.yaml:2:1: rules: no rule enforces anything"),
        (f"- {{id: a, {ENFORCE}}}", "brakes: {every: {at_once: {fleet: 0}}}", "brakes.every.at_once.fleet: is 0"),
    ],
)  # fmt: skip
def test_each_doubtful_thing_is_told_at_its_place(rules: str, more: str, words: str) -> None:
    assert words in told(rules, more)


def test_names_that_the_fleet_does_not_have_are_told_where_the_fleet_is_known() -> None:
    rules = f"- {{id: a, when: {{module: gard, vm: {{label: {{teir: web}}, host: hx}}}}, {ENFORCE}}}"
    known = Known(labels=["tier", "sla"], modules=["guard"], hosts=["h1"])
    text = told(rules, known=known)
    assert "no module is called 'gard' (did you mean 'guard'?)" in text
    assert "no VM carries the label 'teir' (did you mean 'tier'?)" in text
    assert "no host is called 'hx'" in text
    assert told(rules) == ""


@pytest.mark.parametrize(
    "rules",
    [
        f"- {{id: a, when: {{nature: attack}}, {ENFORCE}}}\n- {{id: b, {ENFORCE}}}",
        f"- {{id: a, when: {{operator: '*'}}, {ENFORCE}}}\n- {{id: b, {ENFORCE}}}",
        f"- {{id: a, when: {{vm: {{sla: gold}}}}, {ENFORCE}}}\n- {{id: b, when: {{vm: {{name: x}}}}, {ENFORCE}}}",
        "- {id: a, when: {verb: throttle}, decision: deny, mode: enforce}\n"
        f"- {{id: b, when: {{verb: throttle}}, {ENFORCE}}}",
        f"- {{id: a, when: {{nature: attack}}, {ENFORCE}}}\n"
        "- {id: b, when: {nature: attack}, decision: deny, mode: enforce}",
    ],
)
def test_rules_that_can_be_reached_are_left_in_peace(rules: str) -> None:
    assert told(rules) == ""


@settings(max_examples=400, deadline=None)
@given(proposals, all_facts, policies())
def test_a_rule_called_unreachable_never_decides(p: Proposal, f: Facts, rules: Policy) -> None:
    unreachable = {
        later.id
        for number, later in enumerate(rules.rules)
        if any(covers(earlier, later) for earlier in rules.rules[:number])
    }
    assert decide(p, f, rules).rule not in unreachable


def test_the_built_in_policy_says_that_it_only_observes() -> None:
    assert default_policy().rules[0].id == "observe-everything"
