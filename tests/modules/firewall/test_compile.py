import time
from ipaddress import ip_address, ip_network

import pytest

from tests.modules.firewall.fleets import SHOP, SHOP_GROUPS, fleet, four, vm
from yamori.model.errors import Invalid, NotFound
from yamori.model.filter import Filter, Replies
from yamori.model.filter_rule import ICMP, TCP, UDP, Direction, Rate, check_id
from yamori.modules.firewall.compile import Compiled, compile_groups
from yamori.modules.firewall.difference import difference
from yamori.modules.firewall.flow import Flow, judged
from yamori.modules.firewall.groups import Mode
from yamori.modules.firewall.plan import plan
from yamori.modules.firewall.reading import read_groups
from yamori.modules.firewall.trace import trace

IN, OUT = Direction.IN, Direction.OUT


def compiled(text: str = SHOP_GROUPS, there: object = SHOP) -> Compiled:
    return compile_groups(read_groups(text, "groups.yaml"), there)  # type: ignore[arg-type]


def filter_of(result: Compiled, name: str) -> Filter:
    return result.cards[f"id-{name}/0"].filter


def passes(result: Compiled, name: str, way: Direction, peer: str, port: int, protocol: int = TCP) -> bool:
    own = next(
        a.network_address for a in filter_of(result, name).addresses if a.version == ip_address(peer).version
    )
    flow = Flow(card=f"id-{name}/0", direction=way, protocol=protocol, own=own, peer=ip_address(peer), port=port)
    return judged(filter_of(result, name), flow).allowed


def test_every_card_has_one_filter_and_only_what_a_rule_says_passes() -> None:
    result = compiled()
    assert set(result.cards) == {f"id-{name}/0" for name in ("web1", "web2", "db1", "mon", "stray")}
    assert passes(result, "web1", IN, "203.0.113.9", 443)
    assert not passes(result, "web1", IN, "203.0.113.9", 22)
    assert passes(result, "web1", IN, "192.0.2.200", 22)
    assert passes(result, "web1", OUT, four(3), 5432)
    assert passes(result, "db1", IN, four(1), 5432)
    assert passes(result, "db1", IN, "2001:db8::2", 8444)
    assert not passes(result, "db1", IN, four(4), 5432)
    assert not passes(result, "web1", OUT, four(3), 22)


def test_where_groups_overlap_what_they_allow_is_joined_and_what_they_bound_holds() -> None:
    guarded = compiled().cards["id-web1/0"]
    assert guarded.groups == ("everybody", "web")
    assert guarded.mode is Mode.ENFORCE, "one of its groups enforces"
    assert guarded.filter.rates.packets_in == Rate(per_second=5000, burst=5000)
    assert guarded.filter.rates.connections_in == Rate(per_second=100, burst=100)
    assert guarded.filter.dhcp_servers == (ip_address("10.0.9.1"),)
    assert not passes(compiled(), "web1", OUT, "203.0.113.9", 443), "web denies what no rule allows; deny holds"


def test_a_vm_in_no_group_is_closed_or_in_the_default_group() -> None:
    closed = compiled().cards["id-stray/0"]
    assert (closed.groups, closed.filter.rules, closed.mode) == ((), (), Mode.ENFORCE)
    said = compiled(SHOP_GROUPS.replace("groups:\n", "groups:\n  default: {default: {out: allow}}\n"))
    assert said.cards["id-stray/0"].groups == ("default",)
    assert passes(said, "stray", OUT, "203.0.113.9", 443)
    assert not passes(said, "stray", IN, "203.0.113.9", 443)


def test_a_document_that_only_observes_closes_nobody() -> None:
    result = compiled("version: 1\ngroups: {web: {select: {name: web1}}}\n")
    assert {each.mode for each in result.cards.values()} == {Mode.OBSERVE}


def test_a_membership_that_is_unknown_bounds_and_allows_nothing() -> None:
    text = """version: 1
groups:
  north: {select: {site: north}, mode: enforce, replies: none, dhcp_servers: 10.0.0.1}
  default: {default: allow}
rules: [{id: all, from: any, to: north, services: any}]
"""
    result = compiled(text, fleet(vm("known", 1), vm("lost", 2, host=None)))
    lost = result.cards["id-lost/0"]
    assert (lost.groups, lost.unsure, lost.mode) == (("default",), ("north",), Mode.ENFORCE)
    assert (lost.filter.rules, lost.filter.replies, lost.filter.dhcp_servers) == ((), Replies.NONE, ())
    assert result.members["north"] == ("id-known",)


def test_a_group_without_addresses_never_becomes_everybody() -> None:
    text = """version: 1
groups: {a: {select: {name: web1}}, b: {select: {name: nobody}}, c: {select: {name: db1}}}
rules:
  - {id: r, from: b, to: a, services: any}
  - {id: four, from: c, to: a, services: icmpv6}
"""
    there = fleet(vm("web1", 1), vm("db1", 3), bare=frozenset({"db1"}))
    assert compiled(text, there).cards["id-web1/0"].filter.rules == ()
    only_four = text.replace("{name: nobody}", "{name: x}").replace("from: c", "from: 10.0.0.0/8")
    assert compiled(only_four, there).cards["id-web1/0"].filter.rules == ()


def test_a_rule_may_be_written_at_one_side_only() -> None:
    text = """version: 1
groups: {a: {select: {name: web1}}, b: {select: {name: db1}}}
rules: [{id: r, from: a, to: b, services: ssh, at: AT}]
"""
    sides = {}
    for at in ("both", "from", "to"):
        result = compiled(text.replace("AT", at))
        sides[at] = (bool(filter_of(result, "web1").rules), bool(filter_of(result, "db1").rules))
    assert sides == {"both": (True, True), "from": (True, False), "to": (False, True)}


def test_ids_are_sound_whatever_a_rule_is_called_and_lead_back_to_it() -> None:
    names = [
        "drop",
        "accept log prefix",
        "A" * 100,
        "isolation",
        "by-default",
        "x.y",
        "set; flush"[:3],
        "a/b",
        "a b",
    ]
    rules = "".join(f"  - {{id: {name}, from: any, to: g, services: any}}\n" for name in names)
    result = compiled(f"version: 1\ngroups: {{g: {{select: {{}}, default: {{out: allow}}}}}}\nrules:\n{rules}")
    made = filter_of(result, "web1").rules
    for rule in made:
        check_id(rule.id)
    back = [result.origins[rule.id] for rule in made]
    assert [origin.rule for origin in back] == [*names, None]
    assert [origin.place.line for origin in back if origin.place] == list(range(4, 4 + len(names)))


def test_many_addresses_become_few_prefixes_and_then_portions_that_a_rule_takes() -> None:
    odd = ", ".join(f"10.{n >> 7}.{(n << 1) & 255}.0/24" for n in range(3000))
    text = f"""version: 1
networks: {{dense: [{", ".join(f"10.1.0.{n}" for n in range(256))}], odd: [{odd}]}}
groups: {{g: {{select: {{name: web1}}}}}}
rules:
  - {{id: d, from: dense, to: g, services: any}}
  - {{id: o, from: odd, to: g, services: ssh}}
"""
    rules = filter_of(compiled(text), "web1").rules
    assert rules[0].peers == (ip_network("10.1.0.0/24"),)
    assert [len(rule.peers) for rule in rules[1:]] == [1024, 1024, 952]


def test_too_many_rules_are_one_clear_error_that_names_rule_and_vm() -> None:
    rules = "".join(f"  - {{id: r{n}, from: 10.0.0.0/8, to: g, services: tcp/{n + 1}}}\n" for n in range(300))
    text = f"version: 1\ngroups: {{g: {{select: {{name: web1}}}}}}\nrules:\n{rules}"
    with pytest.raises(
        Invalid, match=r"^groups\.yaml:258:5: .*rule r254: with it VM 'web1' would have more than 256"
    ):
        compiled(text)


def test_a_contradiction_with_a_cards_own_address_names_the_vm() -> None:
    with pytest.raises(Invalid, match=r"VM 'web1', card id-web1/0: a reserved address cannot be the VM's own"):
        compiled("version: 1\ngroups: {g: {select: {name: web1}, reserved: 10.0.0.1}}\n")


def test_a_change_of_one_groups_membership_names_exactly_the_cards_that_change() -> None:
    def world(tier: str) -> Compiled:
        return compiled(
            there=fleet(
                vm("web1", 1, tier="web"),
                vm("web2", 2, tier=tier),
                vm("db1", 3, tier="db"),
                vm("mon", 4, tier="ops"),
            )
        )

    changes = difference(world("web"), world("db"))
    assert changes.changed == ("id-db1/0", "id-web1/0", "id-web2/0")
    assert not difference(world("web"), world("web"))
    assert difference(None, world("web")).added == tuple(f"id-{n}/0" for n in ("db1", "mon", "web1", "web2"))


def test_a_plan_names_the_flows_whose_fate_changes_before_anything_is_applied() -> None:
    old = compiled()
    new = compiled(
        SHOP_GROUPS.replace("[http, https]", "https").replace(
            "to: [web, db], services: ssh", "to: web, services: [ssh, http]"
        )
    )
    web, db = ip_address(four(1)), ip_address(four(3))

    def flow(card: str, own: object, peer: str, port: int) -> Flow:
        return Flow(card=card, direction=IN, protocol=TCP, own=own, peer=ip_address(peer), port=port)  # type: ignore[arg-type]

    kept, lost = flow("id-web1/0", web, "203.0.113.9", 443), flow("id-web1/0", web, "203.0.113.9", 80)
    gone, strange = flow("id-db1/0", db, "192.0.2.1", 22), flow("id-gone/0", db, "192.0.2.1", 22)
    result = plan(old, new, [kept, lost, gone, strange])
    assert [change.flow for change in result.closed] == [lost, gone]
    assert (result.opened, result.unknown, result.judged) == ((), (strange,), 3)
    assert "rule visitors (groups.yaml:20:5)" in result.closed[0].before.words
    assert "no rule allows it (groups: everybody, web)" in result.closed[0].after.words
    assert [change.flow for change in plan(new, old, [kept, lost, gone]).opened] == [lost, gone]


def test_a_plan_for_cards_that_only_observe_closes_nothing_unless_asked() -> None:
    text = "version: 1\ngroups: {g: {select: {}}}\n"
    flow = Flow(
        card="id-web1/0",
        direction=OUT,
        protocol=UDP,
        own=ip_address(four(1)),
        peer=ip_address("192.0.2.1"),
        port=53,
    )
    assert plan(None, compiled(text), [flow]).closed == ()
    (closed,) = plan(None, compiled(text), [flow], as_if_enforced=True).closed
    assert closed.before.words == "no filter is at this card"


def test_a_trace_says_which_rule_decides_at_both_ends() -> None:
    result = compiled()
    told = trace(result, "web1", OUT, ip_address(four(3)), TCP, 5432)
    assert (told.allowed, [hop.vm_name for hop in told.hops]) == (True, ["web1", "db1"])
    assert all("rule Store + fetch (prod) (groups.yaml:21:5)" in hop.told.words for hop in told.hops)
    refused = trace(result, "id-db1", IN, ip_address(four(4)), TCP, 5432)
    assert (refused.allowed, refused.passes) == (False, False)
    assert [(hop.vm_name, hop.direction, hop.told.allowed) for hop in refused.hops] == [
        ("mon", OUT, False),
        ("db1", IN, False),
    ]
    assert trace(result, "web1", IN, ip_address("203.0.113.9"), ICMP).allowed
    with pytest.raises(NotFound):
        trace(result, "nobody", IN, ip_address("203.0.113.9"), ICMP)


def test_ten_thousand_vms_compile_and_one_change_is_found() -> None:
    """Counts work, not time: one set of rules for each set of groups, shared by all its cards."""
    vms = [vm(f"vm{n}", n + 1, tenant=f"t{n % 200}", tier=("web", "db")[n // 200 % 2]) for n in range(10_000)]
    groups = "".join(
        f"  t{n}-{t}: {{select: {{tenant: t{n}, label: {{tier: {t}}}}}}}\n"
        for n in range(200)
        for t in ("web", "db")
    )
    rules = "".join(f"  - {{id: r{n}, from: t{n}-web, to: t{n}-db, services: postgresql}}\n" for n in range(200))
    document = read_groups(f"version: 1\ngroups:\n  all: {{select: {{}}}}\n{groups}rules:\n{rules}", "big")
    began = time.process_time()
    first = compile_groups(document, fleet(*vms))
    spent = time.process_time() - began
    assert len(first.cards) == 10_000
    assert len({id(each.filter.rules) for each in first.cards.values()}) <= 401
    assert spent < 60, f"{spent:.1f} s of CPU"
    moved = [vm("vm0", 1, tenant="t2", tier="web"), *vms[1:]]
    changes = difference(first, compile_groups(document, fleet(*moved)))
    touched = {"vm0", *(f"vm{n}" for n in range(10_000) if n % 200 in (0, 2) and n // 200 % 2)}
    assert set(changes.changed) == {f"id-{name}/0" for name in touched}, "itself, and the databases of two tenants"
