"""What policy rules, told case by case."""

import pytest

from tests.policy.situations import (
    ALLOW_ALL,
    ALLOW_THROTTLE,
    GIB,
    deed,
    facts,
    finding,
    host,
    migrate,
    policy,
    proposal,
    release,
    throttle,
    vm,
)
from yamori.model.actions import Throttle
from yamori.model.finding import Severity
from yamori.model.limits import LimitKind
from yamori.model.proposal import Verdict
from yamori.model.sla import STANDARD_CLASSES
from yamori.policy.decide import decide
from yamori.policy.reading import default_policy


def test_without_any_rule_what_disrupts_is_denied_and_the_rest_is_only_observed() -> None:
    empty = policy()
    assert decide(proposal(throttle()), facts(), empty).verdict is Verdict.OBSERVE_ONLY
    ruled = decide(proposal(migrate()), facts(), empty)
    assert (ruled.verdict, ruled.rule) == (Verdict.DENY, "default:deny")


@pytest.mark.parametrize("action", [throttle(), migrate(), release()])
def test_the_built_in_policy_only_observes(action: Throttle) -> None:
    ruled = decide(proposal(action), facts(), default_policy())
    assert (ruled.verdict, ruled.rule) == (Verdict.OBSERVE_ONLY, "observe-everything")
    assert "would allow" in ruled.reason


def test_an_enforcing_rule_allows_and_names_itself() -> None:
    ruled = decide(proposal(), facts(), policy(ALLOW_THROTTLE))
    assert (ruled.verdict, ruled.rule, ruled.action) == (Verdict.ALLOW, "yes-throttle", throttle())
    assert ruled.decided_at == facts().now


def test_the_first_matching_rule_decides() -> None:
    deny = "{id: no, when: {vm: {sla: bronze}}, decision: deny, mode: enforce}"
    assert decide(proposal(), facts(), policy(f"{deny}, {ALLOW_THROTTLE}")).verdict is Verdict.DENY
    assert decide(proposal(), facts("silver"), policy(f"{deny}, {ALLOW_THROTTLE}")).verdict is Verdict.ALLOW
    assert decide(proposal(), facts(), policy(f"{ALLOW_THROTTLE}, {deny}")).verdict is Verdict.ALLOW


def test_a_rule_in_observe_mode_decides_too_and_lets_nothing_happen() -> None:
    watch = "{id: watch, when: {verb: throttle}, decision: allow}"
    ruled = decide(proposal(), facts(), policy(f"{watch}, {ALLOW_ALL}"))
    assert (ruled.verdict, ruled.rule) == (Verdict.OBSERVE_ONLY, "watch")


def test_ask_asks_only_when_enforced() -> None:
    ask = "{id: ask, decision: ask, mode: %s}"
    assert decide(proposal(migrate()), facts(), policy(ask % "enforce")).verdict is Verdict.ASK
    assert decide(proposal(migrate()), facts(), policy(ask % "observe")).verdict is Verdict.OBSERVE_ONLY


def test_an_expiry_is_shortened_to_the_rules_and_the_policys_longest() -> None:
    rule = "{id: r, decision: allow, mode: enforce, expires: 2m}"
    ruled = decide(proposal(throttle(expires=600)), facts(), policy(rule))
    assert isinstance(ruled.action, Throttle)
    assert ruled.action.expires_after_s == 120
    assert "holds 120s at most instead of 600s" in ruled.reason
    ruled = decide(proposal(throttle(expires=600)), facts(), policy(rule, "longest: 30s"))
    assert isinstance(ruled.action, Throttle)
    assert ruled.action.expires_after_s == 30
    assert decide(proposal(throttle(expires=60)), facts(), policy(rule)).action == throttle(expires=60)


def test_floors_make_a_throttle_milder_and_say_so() -> None:
    asked = throttle(cpu_cap=0.01, memory=1.0, disk_iops=1.0, disk_bandwidth=1.0, net_in=5.0)
    rule = "{id: r, decision: allow, mode: enforce, floors: {cpu: 0.5, net: 1k, memory: 10%}}"
    ruled = decide(proposal(asked), facts("silver"), policy(rule))
    assert isinstance(ruled.action, Throttle)
    assert ruled.action.limits == {
        LimitKind.CPU_CAP: 0.5,
        LimitKind.MEMORY: 0.5 * GIB,
        LimitKind.DISK_IOPS: 20.0,
        LimitKind.DISK_BANDWIDTH: 1_000_000.0,
        LimitKind.NET_IN: 1000.0,
    }
    assert "cpu_cap raised to its floor 0.5 cores" in ruled.reason


def test_the_memory_floor_does_not_sink_with_the_balloon() -> None:
    shrunk = vm(sla="bronze")
    shrunk = type(shrunk)(
        id=shrunk.id,
        name="x",
        host=shrunk.host,
        state=shrunk.state,
        vcpus=1,
        memory_bytes=GIB // 4,
        memory_max_bytes=GIB,
    )
    ruled = decide(proposal(throttle(memory=1.0)), facts(vm=shrunk), policy(ALLOW_ALL))
    assert isinstance(ruled.action, Throttle)
    assert ruled.action.limits[LimitKind.MEMORY] == GIB / 4


def test_a_memory_throttle_of_a_vm_that_is_not_known_is_denied() -> None:
    ruled = decide(proposal(throttle(memory=1e9)), facts(vm=None), policy(ALLOW_ALL))
    assert (ruled.verdict, ruled.rule) == (Verdict.DENY, "sla:memory")


def test_gold_is_never_throttled_but_may_be_moved() -> None:
    ruled = decide(proposal(), facts("gold"), policy(ALLOW_ALL))
    assert (ruled.verdict, ruled.rule) == (Verdict.DENY, "sla:gold")
    assert decide(proposal(migrate()), facts("gold"), policy(ALLOW_ALL)).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("when", "yes", "no"),
    [
        ("module: guard", proposal(), proposal(by="other")),
        ("module: 'gu*'", proposal(), proposal(by="other")),
        ("verb: [migrate]", proposal(migrate()), proposal()),
        ("effects: disruptive", proposal(migrate()), proposal()),
    ],
)
def test_conditions_on_what_is_asked(when: str, yes: object, no: object) -> None:
    rules = policy(f"{{id: r, when: {{{when}}}, decision: allow, mode: enforce}}")
    assert decide(yes, facts(), rules).rule == "r"  # type: ignore[arg-type]
    assert decide(no, facts(), rules).rule != "r"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("when", "matching"),
    [
        ("nature: attack", True),
        ("nature: load", False),
        ("resource: [disk, cpu]", True),
        ("resource: disk", False),
        ("severity_at_least: medium", True),
        ("severity_at_least: high", False),
        ("severity_at_least: info", True),
        ("confidence_at_least: 80%", True),
        ("confidence_at_least: 0.81", False),
    ],
)
def test_conditions_on_the_finding(when: str, *, matching: bool) -> None:
    rules = policy(f"{{id: r, when: {{{when}}}, decision: allow, mode: enforce}}")
    assert (decide(proposal(), facts(), rules).rule == "r") is matching


@pytest.mark.parametrize(
    "when",
    ["nature: attack", "severity_at_least: low", "confidence_at_least: 0", "vm: {name: '*'}", "vm: {host: '*'}"],
)
def test_what_is_not_known_never_allows_and_never_saves_from_a_denial(when: str) -> None:
    blind = facts(vm=None, host=None, finding=None)
    allow = policy(f"{{id: r, when: {{{when}}}, decision: allow, mode: enforce}}")
    deny = policy(f"{{id: r, when: {{{when}}}, decision: deny, mode: enforce}}, {ALLOW_ALL}")
    assert decide(proposal(), blind, allow).verdict is not Verdict.ALLOW
    assert decide(proposal(), blind, deny).verdict is Verdict.DENY


def test_a_nature_that_the_module_does_not_know_is_unknown_unless_the_rule_asks_for_it() -> None:
    unsure = facts(finding=finding(nature="unknown"))
    rule = "{id: r, when: {nature: %s}, decision: allow, mode: enforce}"
    assert decide(proposal(), unsure, policy(rule % "'*'")).rule != "r"
    assert decide(proposal(), unsure, policy(rule % "[attack, unknown]")).rule == "r"


def test_who_may_throttle_may_let_go_whatever_the_finding_says_by_then() -> None:
    rule = "{id: r, when: {verb: throttle, nature: attack, vm: {sla: bronze}}, decision: allow, mode: enforce}"
    calm = facts(finding=finding(nature="load", severity=Severity.INFO))
    assert decide(proposal(release()), calm, policy(rule)).verdict is Verdict.ALLOW
    assert decide(proposal(release()), facts("silver"), policy(rule)).verdict is Verdict.OBSERVE_ONLY


def test_a_denied_throttle_does_not_deny_letting_go() -> None:
    rules = policy(f"{{id: no, when: {{verb: throttle}}, decision: deny, mode: enforce}}, {ALLOW_ALL}")
    assert decide(proposal(), facts(), rules).verdict is Verdict.DENY
    assert decide(proposal(release()), facts(), rules).verdict is Verdict.ALLOW


# -- people


def test_an_operator_may_always_release_and_undo() -> None:
    rules = policy("{id: no, when: {operator: '*'}, decision: deny, mode: enforce}")
    stopped = facts(kill_switch=True)
    assert decide(proposal(release(), by="operator:ann"), stopped, rules).verdict is Verdict.ALLOW
    undoing = facts(undoing=True)
    assert decide(proposal(migrate(), by="operator:ann"), undoing, rules).rule == "operators:undo"
    assert decide(proposal(migrate(), by="operator:ann"), facts(), rules).verdict is Verdict.DENY


def test_undoing_is_a_privilege_of_people() -> None:
    assert decide(proposal(migrate()), facts(undoing=True), policy()).verdict is Verdict.DENY


def test_an_operator_may_do_what_is_reversible_without_any_rule() -> None:
    for action in (throttle(), migrate()):
        ruled = decide(proposal(action, by="operator:ann"), facts(), default_policy())
        assert (ruled.verdict, ruled.rule) == (Verdict.ALLOW, "operators:default")


def test_effects_outside_the_operators_list_are_denied() -> None:
    rules = policy(more="operators: {effects: [reversible]}")
    assert decide(proposal(migrate(), by="operator:ann"), facts(), rules).verdict is Verdict.DENY
    assert decide(proposal(throttle(), by="operator:ann"), facts(), rules).verdict is Verdict.ALLOW


def test_rules_for_people_bind_people_and_rules_without_do_not() -> None:
    rules = policy(
        "{id: no-bob, when: {operator: bob, verb: migrate}, decision: deny, mode: enforce},"
        "{id: no-modules, decision: deny, mode: enforce}"
    )
    assert decide(proposal(migrate(), by="operator:bob"), facts(), rules).rule == "no-bob"
    assert decide(proposal(migrate(), by="operator:ann"), facts(), rules).verdict is Verdict.ALLOW
    assert decide(proposal(migrate()), facts(), rules).rule == "no-modules"


def test_an_observing_rule_for_people_changes_nothing_but_is_told() -> None:
    rules = policy("{id: maybe, when: {operator: '*'}, decision: deny}")
    ruled = decide(proposal(migrate(), by="operator:bob"), facts(), rules)
    assert ruled.verdict is Verdict.ALLOW
    assert "rule maybe (observe) would deny" in ruled.reason


def test_floors_hold_for_people_unless_the_policy_says_otherwise() -> None:
    by = "operator:ann"
    assert decide(proposal(by=by), facts("gold"), policy()).rule == "sla:gold"
    free = policy(more="operators: {override_sla: true}")
    assert decide(proposal(throttle(cpu_cap=0.01), by=by), facts("gold"), free).action == throttle(cpu_cap=0.01)


def test_brakes_hold_people_only_when_the_policy_says_so() -> None:
    busy = facts(in_force=tuple(deed(f"x{i}") for i in range(60)))
    assert decide(proposal(by="operator:ann"), busy, policy()).verdict is Verdict.ALLOW
    ruled = decide(proposal(by="operator:ann"), busy, policy(more="operators: {braked: true}"))
    assert ruled.rule == "brake:every.at_once.fleet"


# -- control and the kill switch


def test_control_only_lets_go() -> None:
    assert decide(proposal(release(), by="control"), facts(kill_switch=True), policy()).verdict is Verdict.ALLOW
    assert decide(proposal(throttle(), by="control"), facts(), policy(ALLOW_ALL)).verdict is Verdict.DENY


def test_the_kill_switch_stops_modules_and_not_people() -> None:
    ruled = decide(proposal(), facts(kill_switch=True), policy(ALLOW_ALL))
    assert (ruled.verdict, ruled.rule) == (Verdict.OBSERVE_ONLY, "builtin:kill_switch")
    assert decide(proposal(by="operator:ann"), facts(kill_switch=True), policy()).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    "action",
    [
        throttle(expires=0),
        throttle(expires=-1),
        throttle(expires=float("inf")),
        throttle(expires=float("nan")),
        throttle(cpu_cap=float("nan")),
        throttle(cpu_cap=-1.0),
        throttle(net_in=0.0),
        Throttle(vm=throttle().vm, limits={}, expires_after_s=5),
    ],
)
def test_a_malformed_throttle_is_denied_to_everybody(action: Throttle) -> None:
    for by in ("guard", "operator:ann", "control"):
        assert decide(proposal(action, by=by), facts(), policy(ALLOW_ALL)).rule == "builtin:malformed"


def test_a_vm_of_a_class_of_ones_own_is_held_by_its_floors() -> None:
    rules = policy(ALLOW_ALL, "classes: {batch: {extends: bronze, floors: {cpu: 2}}}")
    own = rules.sla_classes()["batch"]
    ruled = decide(proposal(), facts("batch", sla=own), rules)
    assert isinstance(ruled.action, Throttle)
    assert ruled.action.limits[LimitKind.CPU_CAP] == 2.0
    assert own.objectives == STANDARD_CLASSES["bronze"].objectives


def test_a_site_is_taken_from_the_host() -> None:
    rules = policy("{id: r, when: {vm: {site: north}}, decision: allow, mode: enforce}")
    assert decide(proposal(), facts(), rules).rule == "r"
    assert decide(proposal(), facts(host=host(site=None)), rules).rule == "default:observe"
