"""What is legal in a policy and yet probably not meant: rules that nothing reaches, names that nothing bears."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from yamori.model.actions import VERBS
from yamori.policy.brakes import Bounds, Brake
from yamori.policy.document import Document, nearest
from yamori.policy.rules import Mode, Policy, Rule, Ruling, When
from yamori.policy.selectors import fits

_FINDING_KEYS = ("nature", "resource", "severity_at_least", "confidence_at_least")
_WORD_KEYS = ("verb", "module", "operator", "effects", "nature", "resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the fleet has, where it is known; None means that it was not asked."""

    labels: Collection[str] | None = None
    modules: Collection[str] | None = None
    hosts: Collection[str] | None = None


def warnings(document: Document, policy: Policy, known: Known | None = None) -> list[str]:
    """Return one line a warning, in the order of the file, each with file, line and column."""
    found: list[str] = []
    for number, rule in enumerate(policy.rules):
        at = ("rules", number)
        for key, what, mend in [
            *_reach(number, rule, policy.rules),
            *_force(rule, policy),
            *_names(rule, policy, known or Known()),
        ]:
            found.append(document.line((*at, *key), f"rule {rule.id}: {what}", mend))
    found += [document.line(at, what, mend) for at, what, mend in _whole(policy)]
    return found


_Warning = tuple[tuple[str | int, ...], str, str | None]


def _reach(number: int, rule: Rule, rules: Sequence[Rule]) -> Iterator[_Warning]:
    for earlier in rules[:number]:
        if covers(earlier, rule):
            what = f"is never reached: rule {earlier.id} above decides all that it speaks of"
            yield ("id",), what, "move it up or narrow the other"
            return


def covers(earlier: Rule, later: Rule) -> bool:
    """Say whether the earlier rule decides whatever the later one would. May miss some; never accuses wrongly."""
    one, other = earlier.when, later.when
    if (one.operator is None) != (other.operator is None):
        return False
    if one.operator is not None and earlier.mode is Mode.OBSERVE:
        return False
    if later.decision is Ruling.DENY and earlier.decision is not Ruling.DENY and _may_be_unknown(one):
        return False  # what is not known passes by the earlier rule and is denied by the later one
    if earlier.decision is Ruling.DENY and later.decision is not Ruling.DENY and not _denies_release(one):
        return False  # letting go passes by a denial of the verb and is allowed by the later rule
    words = all(_wider(getattr(one, key), getattr(other, key)) for key in _WORD_KEYS)
    return words and (one.vm is None or one.vm == other.vm) and _no_stricter(one, other)


def _denies_release(when: When) -> bool:
    return (when.verb is None or "release" in when.verb) and all(
        getattr(when, key) is None for key in _FINDING_KEYS
    )


def _may_be_unknown(when: When) -> bool:
    return when.vm is not None or any(getattr(when, key) is not None for key in _FINDING_KEYS)


def _wider(one: Sequence[str] | None, other: Sequence[str] | None) -> bool:
    if one is None:
        return True
    return other is not None and set(other) <= set(one)


def _no_stricter(one: When, other: When) -> bool:
    severity = one.severity_at_least is None or one.severity_at_least == other.severity_at_least
    mine, theirs = one.confidence_at_least, other.confidence_at_least
    return severity and (mine is None or (theirs is not None and theirs >= mine))


def _force(rule: Rule, policy: Policy) -> Iterator[_Warning]:
    when = rule.when
    verbs = [action for verb, action in VERBS.items() if when.verb is None or verb in when.verb]
    if when.effects is not None:
        verbs = [v for v in verbs if not v.effects.isdisjoint(when.effects)]
        if not verbs:
            yield ("when", "effects"), "no verb that it speaks of has these effects: it never matches", None
            return
    if when.operator is not None and {v.verb for v in verbs} == {"release"}:
        yield ("when", "verb"), "operators may always release: the rule changes nothing", None
    if rule.mode is not Mode.ENFORCE or rule.decision is Ruling.DENY:
        return
    if all(v.verb == "throttle" for v in verbs) and _never_throttled(when, policy):
        yield (
            ("when", "vm"),
            "can never enforce: VMs of these classes are never throttled",
            "set throttleable: true",
        )
    if rule.expires is not None and rule.expires > policy.longest:
        yield ("expires",), f"is longer than the policy's longest, {policy.longest:g}s, which holds", None


def _never_throttled(when: When, policy: Policy) -> bool:
    patterns = None if when.vm is None else when.vm.sla
    if not patterns:
        return False
    named = [c for c in policy.sla_classes().values() if fits(patterns, c.name)]
    return bool(named) and not any(c.throttleable for c in named)


def _names(rule: Rule, policy: Policy, known: Known) -> Iterator[_Warning]:
    when, vm = rule.when, rule.when.vm
    yield from _strangers(("when", "module"), when.module, known.modules, "module is called")
    if vm is None:
        return
    classes = list(policy.sla_classes())
    yield from _strangers(("when", "vm", "sla"), vm.sla_patterns(), classes, "SLA class is called")
    yield from _strangers(("when", "vm", "label"), sorted(vm.label_names()), known.labels, "VM carries the label")
    yield from _strangers(("when", "vm", "host"), vm.host, known.hosts, "host is called")


def _strangers(
    at: tuple[str, ...], patterns: Collection[str] | None, names: Collection[str] | None, what: str
) -> Iterator[_Warning]:
    """Warn of each pattern that fits none of the names; nothing where the names are not known."""
    for pattern in patterns or ():
        if names is not None and not any(fits((pattern,), name) for name in names):
            yield at, f"no {what} {pattern!r}", _meant(pattern, list(names))


def _meant(word: str, names: list[str]) -> str | None:
    meant = nearest(word, names)
    if meant is not None:
        return f"did you mean {meant!r}?"
    return f"known: {', '.join(sorted(names)[:12])}" if names else None


def _whole(policy: Policy) -> Iterator[_Warning]:
    enforcing = [r for r in policy.rules if r.mode is Mode.ENFORCE and r.when.operator is None]
    if not any(r.decision is not Ruling.DENY for r in enforcing):
        yield ("rules",), "no rule enforces anything: modules only observe", None
        return
    for name, brake in (("every", policy.brakes.every), ("disruptive", policy.brakes.disruptive)):
        for part in _zeros(brake):
            at = ("brakes", name, *part)
            yield at, "is 0: no module can ever act under this brake", "raise it, or use mode: observe"


def _zeros(brake: Brake) -> Iterator[tuple[str, ...]]:
    bounds: list[tuple[str, Bounds | None]] = [("at_once", brake.at_once), ("window", brake.window)]
    for name, most in bounds:
        for scope in ("fleet", "site", "host"):
            if most is not None and getattr(most, scope) == 0:
                yield name, scope
