"""What holds for every proposal, every state of the fleet and every policy."""

import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy.situations import NOW, deed, finding, host, vm
from yamori.model.actions import Action, Effect, Migrate, Release, Throttle
from yamori.model.finding import Severity
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.plain import from_plain, to_plain
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.sla import STANDARD_CLASSES
from yamori.policy.decide import decide
from yamori.policy.facts import Facts
from yamori.policy.rules import Mode, Policy

VMS = ["a", "b", "c"]
SLAS = ["gold", "silver", "bronze", "odd"]

actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(
        Throttle,
        vm=st.sampled_from(VMS).map(VMId),
        limits=st.dictionaries(st.sampled_from(list(LimitKind)), st.floats(), max_size=3),
        expires_after_s=st.floats(),
    ),
    st.builds(
        Throttle,
        vm=st.sampled_from(VMS).map(VMId),
        limits=st.dictionaries(st.sampled_from(list(LimitKind)), st.floats(0, 1e12), min_size=1, max_size=3),
        expires_after_s=st.floats(0.1, 1e6),
    ),
    st.builds(Release, vm=st.sampled_from(VMS).map(VMId)),
    st.builds(Migrate, vm=st.sampled_from(VMS).map(VMId), to=st.sampled_from([None, HostId("h2")])),
)
module_names = st.sampled_from(["guard", "firewall", "operators", "x"])
proposals = st.builds(
    Proposal,
    action=actions,
    by=st.one_of(module_names, st.sampled_from(["operator:ann", "operator:", "control"])),
    reason=st.just("r"),
    finding=st.none(),
    proposed_at=st.just(NOW),
)
deeds = st.builds(
    deed,
    st.sampled_from([*VMS, "d", "e", "f"]),
    st.sampled_from(["throttle", "release", "migrate"]),
    at=st.sampled_from(["h1", "h2"]),
    site=st.sampled_from(["north", None]),
    ago=st.floats(0, 4000),
)
vms = st.one_of(
    st.none(),
    st.builds(
        lambda i, h, s, t: vm(i, host=h, sla=s, tenant=t),
        st.sampled_from(VMS),
        st.sampled_from(["h1", None]),
        st.sampled_from(SLAS),
        st.sampled_from(["acme", "globex"]),
    ),
)
findings = st.one_of(
    st.none(),
    st.builds(
        lambda s, c, n, r: finding(severity=s, confidence=c, nature=n, resource=r),
        st.sampled_from(list(Severity)),
        st.floats(0, 1),
        st.sampled_from(["attack", "load", "unknown"]),
        st.sampled_from(["cpu", "disk", None]),
    ),
)
all_facts = st.builds(
    Facts,
    now=st.just(NOW),
    vm=vms,
    host=st.sampled_from([None, host(), host(site=None)]),
    sla=st.sampled_from([None, *STANDARD_CLASSES.values()]),
    finding=findings,
    in_force=st.lists(deeds, max_size=6).map(tuple),
    recent=st.lists(deeds, max_size=8).map(tuple),
    kill_switch=st.booleans(),
    undoing=st.booleans(),
)

_selectors = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "sla": st.sampled_from(SLAS),
            "tenant": st.sampled_from(["acme", ["acme", "g*"]]),
            "name": st.sampled_from(["vm-a", "vm-*"]),
            "host": st.sampled_from(["h1", "*"]),
            "site": st.just("north"),
            "label": st.just({"sla": "gold"}),
        },
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"any": parts}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
_asker = st.sampled_from([{}, {}, {"module": "guard"}, {"operator": "*"}])
_when = st.builds(
    lambda who, rest: {**who, **rest},
    _asker,
    st.fixed_dictionaries(
        {},
        optional={
            "verb": st.sampled_from(["throttle", ["migrate"], ["throttle", "migrate", "release"]]),
            "effects": st.sampled_from(["disruptive", ["reversible"]]),
            "vm": _selectors,
            "nature": st.sampled_from(["attack", "unknown", "*"]),
            "resource": st.just("cpu"),
            "severity_at_least": st.sampled_from(["low", "high"]),
            "confidence_at_least": st.sampled_from(["10%", 0.9]),
        },
    ),
)


@st.composite
def policies(draw: st.DrawFn, modes: tuple[str, ...] = ("observe", "enforce")) -> Policy:
    rules = [
        {
            "id": f"r{number}",
            "when": draw(_when),
            "decision": draw(st.sampled_from(["allow", "allow", "ask", "deny"])),
            "mode": draw(st.sampled_from(modes)),
            **draw(st.sampled_from([{}, {"expires": "30s"}, {"floors": {"cpu": 1, "memory": "50%"}}])),
        }
        for number in range(draw(st.integers(0, 4)))
    ]
    bound = st.sampled_from([{}, {"fleet": 1}, {"fleet": 3, "host": 1}, {"site": 2}])
    brakes = {
        name: {"at_once": draw(bound), "window": {"within": "5m", **draw(bound)}}
        for name in ("every", "disruptive")
    }
    operators = draw(st.sampled_from([{}, {"braked": True}, {"override_sla": True}, {"effects": ["reversible"]}]))
    text = json.dumps({"version": 1, "rules": rules, "brakes": brakes, "operators": operators, "longest": "1h"})
    return Policy.model_validate_json(text, strict=True)


@settings(max_examples=300, deadline=None)
@given(proposals, all_facts, policies())
def test_every_proposal_gets_one_decision_with_rule_and_reason(p: Proposal, f: Facts, rules: Policy) -> None:
    ruled = decide(p, f, rules)
    assert isinstance(ruled, Decision)
    assert ruled.rule
    assert ruled.reason
    assert ruled.decided_at == f.now
    assert (ruled.action.verb, ruled.action.vm) == (p.action.verb, p.action.vm)
    assert repr(decide(p, f, rules)) == repr(ruled)


@settings(max_examples=300, deadline=None)
@given(proposals, all_facts, policies(modes=("observe",)), module_names)
def test_without_an_enforcing_rule_no_module_is_ever_allowed(
    p: Proposal, f: Facts, rules: Policy, by: str
) -> None:
    asked = Proposal(action=p.action, by=by, reason=p.reason, finding=None, proposed_at=NOW)
    assert decide(asked, f, rules).verdict in {Verdict.OBSERVE_ONLY, Verdict.DENY}


@settings(max_examples=300, deadline=None)
@given(proposals, all_facts, policies())
def test_a_rule_that_observes_never_allows_nor_asks(p: Proposal, f: Facts, rules: Policy) -> None:
    ruled = decide(p, f, rules)
    observing = {rule.id for rule in rules.rules if rule.mode is Mode.OBSERVE}
    if ruled.rule in observing:
        assert ruled.verdict is Verdict.OBSERVE_ONLY
        assert not p.by.startswith("operator:")


@settings(max_examples=300, deadline=None)
@given(proposals, all_facts, policies())
def test_what_is_allowed_is_never_harsher_nor_longer_than_asked(p: Proposal, f: Facts, rules: Policy) -> None:
    ruled = decide(p, f, rules)
    if ruled.verdict is Verdict.ALLOW and isinstance(ruled.action, Throttle) and isinstance(p.action, Throttle):
        assert ruled.action.expires_after_s <= min(p.action.expires_after_s, rules.longest)
        assert set(ruled.action.limits) == set(p.action.limits)
        assert all(value >= p.action.limits[kind] for kind, value in ruled.action.limits.items())


@settings(max_examples=400, deadline=None)
@given(proposals, all_facts, policies())
def test_brakes_hold_whatever_the_rules_say(p: Proposal, f: Facts, rules: Policy) -> None:
    ruled = decide(p, f, rules)
    person = p.by.startswith("operator:") and not rules.operators.braked
    if ruled.verdict is not Verdict.ALLOW or isinstance(p.action, Release) or person or f.undoing:
        return
    others = {d.vm for d in f.in_force if d.vm != p.action.vm}
    disruptive = {d.vm for d in f.in_force if d.vm != p.action.vm and Effect.DISRUPTIVE in d.effects}
    replaces = any((d.vm, d.verb) == (p.action.vm, p.action.verb) for d in f.in_force)
    if isinstance(p.action, Migrate) and rules.brakes.disruptive.at_once.fleet is not None:
        assert len(disruptive) < rules.brakes.disruptive.at_once.fleet
    if rules.brakes.every.at_once.fleet is not None and not (replaces and isinstance(p.action, Throttle)):
        assert len(others) < rules.brakes.every.at_once.fleet
    window = rules.brakes.disruptive.window
    if isinstance(p.action, Migrate) and window is not None and window.fleet is not None:
        edge = f.now - timedelta(seconds=window.within)
        assert sum(d.verb == "migrate" and d.at > edge for d in f.recent) < window.fleet


@settings(max_examples=200, deadline=None)
@given(proposals, all_facts, policies(modes=("enforce",)))
def test_a_person_can_always_let_go(p: Proposal, f: Facts, rules: Policy) -> None:
    asked = Proposal(action=Release(vm=p.action.vm), by="operator:ann", reason="", finding=None, proposed_at=NOW)
    assert decide(asked, f, rules).verdict is Verdict.ALLOW


@settings(max_examples=100, deadline=None)
@given(all_facts)
def test_facts_survive_being_recorded(f: Facts) -> None:
    assert from_plain(Facts, json.loads(json.dumps(to_plain(f)))) == f
