"""Rule on a proposal. Pure: the same proposal, facts and policy always give the same decision."""

from __future__ import annotations

import dataclasses
import math

from yamori.model.actions import VERBS, Action, Effect, Release, Throttle
from yamori.model.ids import RuleId
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.policy.brakes import held_back
from yamori.policy.facts import CONTROL, OPERATOR, Facts
from yamori.policy.floors import Floored, TooLow, raise_to_floors
from yamori.policy.match import matches
from yamori.policy.rules import Mode, Policy, Rule, Ruling

_UNDOING = frozenset(action.undone_by for action in VERBS.values() if action.undone_by is not None)


def decide(proposal: Proposal, facts: Facts, policy: Policy) -> Decision:
    """Rule on a proposal. Every proposal gets a verdict with a rule's id and a reason.

    In this order: what is malformed is denied; control lets go of what has expired; operators may always
    release and undo; the kill switch stops modules; then the first matching rule decides, or the default.
    Floors, the longest duration and the brakes narrow what a rule allows; they never widen it.
    """
    fault = _malformed(proposal)
    if fault is not None:
        return _rule(proposal, facts, Verdict.DENY, "builtin:malformed", fault)
    if proposal.by == CONTROL:
        return _for_control(proposal, facts)
    if proposal.by.startswith(OPERATOR):
        return _for_operator(proposal, facts, policy)
    return _for_module(proposal, facts, policy)


def _for_control(proposal: Proposal, facts: Facts) -> Decision:
    if isinstance(proposal.action, Release):
        return _rule(proposal, facts, Verdict.ALLOW, "builtin:expiry", "a hold whose time has come is let go")
    return _rule(proposal, facts, Verdict.DENY, "builtin:control", "control itself only lets go; modules propose")


def _for_operator(proposal: Proposal, facts: Facts, policy: Policy) -> Decision:
    action = proposal.action
    if isinstance(action, Release):
        return _rule(proposal, facts, Verdict.ALLOW, "operators:release", "an operator may always release")
    if facts.undoing and action.verb in _UNDOING:
        return _rule(proposal, facts, Verdict.ALLOW, "operators:undo", "an operator may always undo")
    watching = ""
    for rule in policy.rules:
        if not matches(rule, proposal, facts):
            continue
        if rule.mode is Mode.ENFORCE:
            return _apply(rule, proposal, facts, policy)
        watching = watching or f"; rule {rule.id} (observe) would {rule.decision}"
    allowed = policy.operators.effects
    outside = sorted(effect for effect in action.effects if effect not in allowed)
    if Effect.REVERSIBLE not in action.effects:
        reason = f"{action.verb} is not reversible: a rule must allow it to operators"
        return _rule(proposal, facts, Verdict.DENY, "operators:default", reason + watching)
    if outside:
        reason = f"operators may not do what is {', '.join(outside)}"
        return _rule(proposal, facts, Verdict.DENY, "operators:default", reason + watching)
    reason = f"operators may {action.verb}{watching}"
    return _narrowed("operators:default", reason, proposal, facts, policy, rule=None)


def _for_module(proposal: Proposal, facts: Facts, policy: Policy) -> Decision:
    if facts.kill_switch:
        reason = "the kill switch is on: modules only observe"
        return _rule(proposal, facts, Verdict.OBSERVE_ONLY, "builtin:kill_switch", reason)
    for rule in policy.rules:
        if matches(rule, proposal, facts):
            return _apply(rule, proposal, facts, policy)
    if Effect.DISRUPTIVE in proposal.action.effects or Effect.REVERSIBLE not in proposal.action.effects:
        reason = f"no rule allows {proposal.action.verb}, which disrupts or cannot be undone"
        return _rule(proposal, facts, Verdict.DENY, "default:deny", reason)
    reason = f"no rule speaks of {proposal.action.verb} for this VM: only observed"
    return _rule(proposal, facts, Verdict.OBSERVE_ONLY, "default:observe", reason)


def _apply(rule: Rule, proposal: Proposal, facts: Facts, policy: Policy) -> Decision:
    said = f": {rule.description}" if rule.description else ""
    if rule.mode is Mode.OBSERVE:
        reason = f"rule {rule.id} would {rule.decision} but only observes{said}"
        return _rule(proposal, facts, Verdict.OBSERVE_ONLY, rule.id, reason)
    if rule.decision is Ruling.DENY:
        return _rule(proposal, facts, Verdict.DENY, rule.id, f"rule {rule.id} denies{said}")
    return _narrowed(rule.id, f"rule {rule.id} {rule.decision}s{said}", proposal, facts, policy, rule=rule)


def _narrowed(
    name: str, reason: str, proposal: Proposal, facts: Facts, policy: Policy, *, rule: Rule | None
) -> Decision:
    """Allow (or ask), after floors, durations and brakes have had their say."""
    person = proposal.by.startswith(OPERATOR)
    action: Action = proposal.action
    if isinstance(action, Throttle):
        if not (person and policy.operators.override_sla):
            floored = raise_to_floors(action, facts, None if rule is None else rule.floors)
            if isinstance(floored, TooLow):
                return _rule(proposal, facts, Verdict.DENY, floored.rule, floored.why)
            action, reason = floored.action, _with(reason, floored)
        longest = min(policy.longest, policy.longest if rule is None or rule.expires is None else rule.expires)
        if action.expires_after_s > longest:
            reason += f"; holds {longest:g}s at most instead of {action.expires_after_s:g}s"
            action = dataclasses.replace(action, expires_after_s=longest)
    if not person or policy.operators.braked:
        held = held_back(action, facts, policy.brakes)
        if held is not None:
            return _rule(proposal, facts, Verdict.DENY, f"brake:{held.name}", f"{held.why}; else {reason}")
    verdict = Verdict.ASK if rule is not None and rule.decision is Ruling.ASK else Verdict.ALLOW
    return Decision(verdict=verdict, rule=RuleId(name), reason=reason, action=action, decided_at=facts.now)


def _with(reason: str, floored: Floored) -> str:
    return f"{reason}; {floored.note}" if floored.note else reason


def _malformed(proposal: Proposal) -> str | None:
    action = proposal.action
    if not isinstance(action, Throttle):
        return None
    if not action.limits:
        return "a throttle without any limit"
    if any(not math.isfinite(value) or value <= 0 for value in action.limits.values()):
        return "a limit that is no finite number above 0"
    if not math.isfinite(action.expires_after_s) or action.expires_after_s <= 0:
        return "a throttle needs a finite expiry above 0 seconds"
    return None


def _rule(proposal: Proposal, facts: Facts, verdict: Verdict, rule: str, reason: str) -> Decision:
    return Decision(
        verdict=verdict, rule=RuleId(rule), reason=reason, action=proposal.action, decided_at=facts.now
    )
