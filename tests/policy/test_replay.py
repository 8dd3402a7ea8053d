"""Another policy on the same record."""

import json
from dataclasses import replace

from tests.policy.situations import ALLOW_THROTTLE, facts, migrate, policy, proposal, throttle
from yamori.model.plain import from_plain, to_plain
from yamori.model.proposal import Verdict
from yamori.policy.decide import decide
from yamori.policy.reading import default_policy
from yamori.policy.replay import Case, compare


def record() -> list[Case]:
    told = []
    for number, (asked, known) in enumerate(
        [
            (proposal(), facts()),
            (proposal(throttle(cpu_cap=0.2)), facts("gold")),
            (proposal(migrate()), facts("gold")),
        ]
    ):
        ruled = decide(asked, known, default_policy())
        told.append(Case(number=number, proposal=asked, facts=known, decision=ruled))
    return told


def test_the_same_policy_changes_nothing() -> None:
    outcome = compare(record(), default_policy())
    assert (outcome.cases, outcome.differences) == (3, ())
    assert outcome.before == outcome.after == {"observe_only": 3}


def test_what_an_enforcing_policy_would_change_is_told_case_by_case() -> None:
    outcome = compare(record(), policy(ALLOW_THROTTLE))
    assert [(d.case.number, d.now.verdict, d.now.rule) for d in outcome.differences] == [
        (0, Verdict.ALLOW, "yes-throttle"),
        (1, Verdict.DENY, "sla:gold"),
        (2, Verdict.DENY, "default:deny"),
    ]
    assert outcome.after == {"allow": 1, "deny": 2}
    assert outcome.rules == {"yes-throttle": 1, "sla:gold": 1, "default:deny": 1}


def test_classes_are_those_of_the_policy_that_is_tried() -> None:
    soft = policy(ALLOW_THROTTLE, "classes: {gold: {throttleable: true}}")
    assert [d.now.verdict for d in compare(record(), soft).differences][1] is Verdict.ALLOW


def test_a_shorter_expiry_is_a_difference_though_the_verdict_is_the_same() -> None:
    before = policy(ALLOW_THROTTLE)
    cases = [replace(c, decision=decide(c.proposal, c.facts, before)) for c in record()]
    outcome = compare(cases, policy(ALLOW_THROTTLE, "longest: 1m"))
    assert [d.case.number for d in outcome.differences] == [0]


def test_a_case_survives_being_written_down() -> None:
    for case in record():
        assert from_plain(Case, json.loads(json.dumps(to_plain(case)))) == case
