"""What another policy would have ruled on the same proposals and facts. Pure: nothing is asked anew."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yamori.model.proposal import Decision, Proposal
from yamori.policy.decide import decide
from yamori.policy.facts import Facts
from yamori.policy.rules import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recorded decision with all that it rested on. ``number`` is its place in the record."""

    number: int
    proposal: Proposal
    facts: Facts
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One case that the other policy rules otherwise on: another verdict, or another action."""

    case: Case
    now: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two policies on one record: ``before`` and ``after`` count verdicts, ``rules`` those that now decide."""

    cases: int
    differences: tuple[Difference, ...]
    before: Mapping[str, int]
    after: Mapping[str, int]
    rules: Mapping[str, int]


def compare(cases: Iterable[Case], policy: Policy) -> Comparison:
    """Rule anew on every case. SLA classes are those of the other policy.

    Each case stands alone: what was in force and what happened lately is taken from the record, so a longer
    chain of consequences is not played through; that is what replaying through the modules is for.
    """
    classes = policy.sla_classes()
    differences: list[Difference] = []
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    total = 0
    for case in cases:
        total += 1
        vm = case.facts.vm
        sla = None if vm is None else classes.get(vm.labels.get("sla", ""))
        ruled = decide(case.proposal, dataclasses.replace(case.facts, sla=sla), policy)
        before[case.decision.verdict] += 1
        after[ruled.verdict] += 1
        rules[ruled.rule] += 1
        if (ruled.verdict, ruled.action) != (case.decision.verdict, case.decision.action):
            differences.append(Difference(case=case, now=ruled))
    return Comparison(
        cases=total, differences=tuple(differences), before=dict(before), after=dict(after), rules=dict(rules)
    )
