"""Whether a rule speaks of a proposal. What is not known never helps to allow, and never saves from a denial."""

from __future__ import annotations

from yamori.model.actions import VERBS, Action, Release
from yamori.model.finding import Finding, Severity
from yamori.model.proposal import Proposal
from yamori.policy.facts import OPERATOR, Facts
from yamori.policy.rules import Rule, Ruling, When
from yamori.policy.selectors import both, fits

_ORDER = {severity: number for number, severity in enumerate(Severity)}
UNKNOWN = "unknown"


def matches(rule: Rule, proposal: Proposal, facts: Facts) -> bool:
    """Say whether the rule decides. Unknown counts as a match for a rule that denies, as none for the others."""
    denies = rule.decision is Ruling.DENY
    letting_go = isinstance(proposal.action, Release) and not denies
    answer = both(
        _asked_by(rule.when, proposal.by),
        _does(rule.when, proposal.action, letting_go=letting_go),
        True if rule.when.vm is None else rule.when.vm.matches(facts.vm, facts.host),
        True if letting_go else _about(rule.when, facts.finding),
    )
    return denies if answer is None else answer


def verbs_meant(verb: str) -> frozenset[str]:
    """Return the verb and those that it undoes."""
    return frozenset({verb} | {name for name, action in VERBS.items() if action.undone_by == verb})


def _does(when: When, action: Action, *, letting_go: bool) -> bool:
    """Match what the action does. Who may throttle may let go, whatever has become of the finding by then."""
    verbs = verbs_meant(action.verb) if letting_go else frozenset({action.verb})
    return (when.verb is None or not verbs.isdisjoint(when.verb)) and (
        when.effects is None or not action.effects.isdisjoint(when.effects)
    )


def _asked_by(when: When, by: str) -> bool:
    if by.startswith(OPERATOR):
        return when.operator is not None and fits(when.operator, by.removeprefix(OPERATOR))
    return when.operator is None and (when.module is None or fits(when.module, by))


def _about(when: When, finding: Finding | None) -> bool | None:
    """Match what the finding says. A nature that the module itself calls unknown is unknown, unless asked for."""
    return both(
        _word(when.nature, None if finding is None else finding.nature),
        _word(when.resource, None if finding is None else finding.resource),
        when.severity_at_least is None
        or (None if finding is None else _ORDER[finding.severity] >= _ORDER[when.severity_at_least]),
        when.confidence_at_least is None
        or (None if finding is None else finding.confidence >= when.confidence_at_least),
    )


def _word(patterns: tuple[str, ...] | None, value: str | None) -> bool | None:
    if patterns is None:
        return True
    if value is None:
        return None
    if value == UNKNOWN and UNKNOWN not in patterns:
        return None
    return fits(patterns, value)
