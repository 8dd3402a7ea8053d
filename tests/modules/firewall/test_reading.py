import json

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.modules.firewall.fleets import SHOP, SHOP_GROUPS
from yamori.model.errors import Invalid
from yamori.model.filter_rule import ICMP, TCP, UDP, Span
from yamori.modules.firewall.check import warnings
from yamori.modules.firewall.compile import compile_groups
from yamori.modules.firewall.reading import read_groups
from yamori.modules.firewall.schema import groups_schema
from yamori.modules.firewall.service import Match, in_short, short
from yamori.modules.firewall.wellknown import WELL_KNOWN

HEAD = "version: 1\ngroups:\n  web: {select: {name: web*}}\n  default: {}\n"


def told(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read_groups(text, "groups.yaml")
    return str(caught.value).splitlines()


def test_a_document_is_read_and_its_words_are_resolved() -> None:
    groups = read_groups(SHOP_GROUPS, "groups.yaml")
    assert [rule.id for rule in groups.firewall.rules] == [
        "visitors",
        "Store + fetch (prod)",
        "office-ssh",
        "ping",
    ]
    assert groups.matches("app") == (Match(protocol=TCP, ports=(Span(low=8443, high=8444),)),)
    assert [str(n) for n in groups.addresses("office") or ()] == ["192.0.2.0/25", "192.0.2.128/25"]
    assert groups.addresses("web") is None


def test_the_published_schema_takes_what_the_reader_takes() -> None:
    schema = json.loads(json.dumps(groups_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(YAML(typ="safe").load(SHOP_GROUPS), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(YAML(typ="safe").load(SHOP_GROUPS.replace("20k/s", "20k")), schema)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (
            "rules: [{id: a, from: any, to: wep, services: ssh}]",
            "no group or network is called 'wep' (did you mean",
        ),
        (
            "rules: [{id: a, from: any, to: web, services: shh}]",
            "no service is called 'shh' (did you mean 'ssh'?)",
        ),
        ("rules: [{id: a, from: any, to: any, services: ssh}]", "can never match (name a group)"),
        ("rules: [{id: a, from: any, to: web, services: tcp/70000}]", "'70000' is no range of ports"),
        ("rules: [{id: a, from: 10.0.0.1/8, to: web, services: ssh}]", "write 10.0.0.0/8, or the address alone"),
        ("rules: [{id: a, from: any, to: web, services: ssh, at: from}]", "from names no group"),
        ("rules: [{id: a, from: [any, web], to: web, services: ssh}]", "the other words add nothing"),
        ('rules: [{id: "a; flush ruleset", from: any, to: web, services: ssh}]', "must fit"),
        ("rules: [{id: a, from: any, to: web}]", "rules[0].services: is missing"),
        ("rules: [{id: a, from: any, to: web, services: ssh, verdict: drop}]", "unknown key 'verdict'"),
        ("networks: {web: 10.0.0.0/8}", "a group has this name already"),
        ("networks: {any: 10.0.0.0/8}", "any means everybody"),
        ("networks: {10.0.0.1: 10.0.0.0/8}", "this name is an address"),
        ("networks: {n: [10.0.0.9-10.0.0.1]}", "is no range"),
        ("services: {s: [{protocol: gre, ports: 1}]}", "ports belong to tcp and udp only"),
        ("services: {s: [{protocol: icmp, types: hello}]}", "is no type"),
        ("services: {tcp: [{protocol: udp}]}", "this name means a protocol already"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_how_to_mend_it(rest: str, said: str) -> None:
    lines = told(f"{HEAD}{rest}\n")
    assert any(said in line for line in lines), lines
    assert all(line.startswith("groups.yaml:5:") for line in lines)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("web: {}", "select is missing"),
        ("default: {select: {}}", "it selects none"),
        ("web: {select: {}, default: maybe}", "is none of deny, allow"),
        ("web: {select: {}, rates: {packets_in: 5}}", "is no rate; write it like"),
        ("web: {select: {}, rates: {packets_in: 0/s}}", "from 1 to"),
        ("web: {select: {}, routers: 10.0.0.1}", "is not link-local"),
        ("web: {select: {}, dhcp_servers: 10.0.0.0/8}", "must be single addresses"),
        ("web: {select: {labels: {a: b}}}", "did you mean 'label'?"),
        ("web: {select: }", "has no value"),
    ],
)
def test_a_group_that_means_nothing_is_refused(groups: str, said: str) -> None:
    (line,) = told(f"version: 1\ngroups:\n  {groups}\n")
    assert said in line
    assert line.startswith("groups.yaml:3:")


def test_two_rules_with_one_id_are_refused_and_both_places_are_told() -> None:
    rule = "{id: same, from: any, to: web, services: ssh}"
    (line,) = told(f"{HEAD}rules:\n  - {rule}\n  - {rule}\n")
    assert line.startswith("groups.yaml:7:10: rules[1].id: rule 1 has the id 'same' already")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "version: 2",
        "\x00\x01",
        "version: 1\nversion: 1\n",
        "a: &a [x]\nb: &b [*a,*a]\nversion: 1",
        "version: 1\ngroups: !!python/object {}",
        "version: 1\n" + "groups: " + "{a: " * 60,
        "version: 1\nrules: " + "[" * 5000,
        b"\xff\xfe\x00version",
    ],
)
def test_garbage_gets_an_answer_with_a_place(text: str | bytes) -> None:
    with pytest.raises(Invalid, match=r"^x:\d+:\d+: "):
        read_groups(text, "x")


def test_aliases_cannot_blow_a_document_up() -> None:
    layers = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12))
    with pytest.raises(Invalid, match="after aliases are expanded"):
        read_groups(f"a: &a [x]\n{layers}version: 1\n", "bomb")


@pytest.mark.parametrize(
    "word", ["any", "tcp", "tcp/443", "udp/53,5353", "tcp/8000-8100", "icmp/8", "icmpv6/128,129", "ip/47", "sctp"]
)
def test_a_service_in_short_is_written_as_it_was_read(word: str) -> None:
    match = short(word)
    assert match is not None
    again = in_short(match)
    assert again is not None
    assert short(again) == match


def test_well_known_services_say_what_the_registries_say() -> None:
    assert WELL_KNOWN["dns"] == (
        Match(protocol=UDP, ports=(Span(low=53, high=53),)),
        Match(protocol=TCP, ports=(Span(low=53, high=53),)),
    )
    assert Match(protocol=ICMP, types=(8,)) in WELL_KNOWN["ping"]
    assert all(WELL_KNOWN.values())


def test_what_is_probably_not_meant_is_told_with_its_place() -> None:
    text = """version: 1
networks: {unused: 10.0.0.0/8}
groups:
  web: {select: {label: {tier: web}}}
  ghosts: {select: {label: {tier: ghost}}}
  open: {select: {name: mon}, default: allow}
rules:
  - {id: six, from: 10.0.0.0/8, to: web, services: icmpv6}
  - {id: one, from: any, to: web, services: [http, https]}
  - {id: two, from: any, to: web, services: "tcp/443,80"}
  - {id: haunt, from: ghosts, to: web, services: ssh}
  - {id: moot, from: any, to: open, services: ssh}
"""
    groups = read_groups(text, "g")
    lines = warnings(groups, SHOP, compile_groups(groups, SHOP))
    for place, said in [
        ("g:2:20:", "no rule names this list"),
        ("g:3:1:", "there is no group default"),
        ("g:3:1:", "no group enforces"),
        ("g:5:12:", "no VM of 5 is in this group"),
        ("g:8:21:", "rule six: can never match"),
        ("g:10:10:", "rule two: says what rule one says"),
        ("g:11:5:", "rule haunt: "),
        ("g:12:5:", "rule moot: the groups let it through by default"),
        ("g:3:1:", "2 VMs are in no group, and closed"),
    ]:
        assert any(line.startswith(place) and said in line for line in lines), (place, said, lines)
