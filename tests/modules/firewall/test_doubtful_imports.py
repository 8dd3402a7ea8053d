"""What cannot be read for certain opens nothing, and gets an answer."""

from typing import Any

import pytest

from tests.modules.firewall.test_imports import IN, compiled, lost, passes
from yamori.model.errors import Invalid
from yamori.modules.firewall.carried.inwards import networkpolicy, nsx, nwfilter, openstack, pve
from yamori.modules.firewall.reading import read_groups
from yamori.modules.firewall.writing import to_text

# ruff: noqa: E501 -- files as those programs write them

GROUPED = '{"security_groups": [{"id": "1", "name": "g", "security_group_rules": [%s]}]}'
POLICY = "kind: NetworkPolicy\nmetadata: {name: g}\nspec: {podSelector: {}, ingress: [%s]}"
WALLED = (
    '{"services": [{"id": "s", "path": "/s"}], "security_policies": [{"id": "p", "rules": ['
    '{"id": "a", "sequence_number": 1, "action": "ALLOW", %s}, {"id": "z", "sequence_number": 9, "action": "DROP"}]}]}'
)
MACHINE = "# file: cluster.fw\n%s\n# file: 1.fw\n[OPTIONS]\nenable: 1\n[RULES]\n%s\nIN ACCEPT -p tcp -dport 22\n"
CLOSED = "<filter name='f'>%s<rule action='drop' direction='in' priority='900'><all/></rule><rule action='drop' direction='in' priority='901'><all-ipv6/></rule></filter>"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            openstack,
            GROUPED % '{"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": "http"}',
        ),
        (
            openstack,
            GROUPED % '{"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_max": 80}',
        ),
        (openstack, GROUPED % '{"direction": "ingress", "ethertype": "IPv4", "remote_group_id": "unknown"}'),
        (networkpolicy, POLICY % "{from: 5}"),
        (networkpolicy, POLICY % "{ports: {port: 5}}"),
        (networkpolicy, POLICY % "{from: [{}]}"),
        (networkpolicy, POLICY % "{from: [{podSelector: 5}]}"),
        (networkpolicy, POLICY % "{from: [{podSelector: {matchLabels: [a]}}]}"),
        (networkpolicy, POLICY % "{from: [{namespaceSelector: 7}]}"),
        (nsx, WALLED % '"services": ["/s"]'),
        (nsx, WALLED % '"services": ["/nowhere"]'),
        (nsx, WALLED % '"source_groups": "ANYBODY"'),
        (
            nsx,
            WALLED
            % '"services": ["ANY"], "service_entries": [{"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP"}]',
        ),
        (nsx, WALLED % '"sources_excluded": true'),
        (pve, MACHINE % ("[IPSET blacklist]\nunknown-alias", "")),
        (pve, MACHINE % ("", "GROUP missing")),
        (pve, MACHINE % ("[group g]\nIN DROP", "GROUP g -i net0")),
        (pve, MACHINE % ("", "IN DROP -dest 10.0.0.1")),
        (pve, MACHINE % ("", "IN DROP -source +nowhere")),
        (pve, MACHINE % ("", "IN Strange(DROP)")),
        (nwfilter, CLOSED % "<rule action='accept' direction='in'><tcp type='8'/></rule>"),
        (nwfilter, CLOSED % "<rule action='accept' direction='in'><tcp match='no' srcipaddr='10.0.0.1'/></rule>"),
        (
            nwfilter,
            CLOSED
            % "<rule action='drop' direction='in' priority='1'><tcp connlimit-above='1'/></rule><rule action='accept' direction='in'><all/></rule>",
        ),
        (nwfilter, CLOSED % "<filterref filter='of-somebody'/><rule action='accept' direction='in'><all/></rule>"),
    ],
    ids=range(24),
)
def test_what_cannot_be_said_exactly_opens_nothing_and_is_told(module: Any, text: str) -> None:
    carried = module.read(text, "x")
    assert lost(carried)
    every = dict.fromkeys(("vmid", "security-group/g"), "1") | {"nwfilter": "f"}
    there = compiled(carried, m=every)
    for port in (22, 80):
        for peer in ("203.0.113.5", "2001:db8:5::1"):
            assert not passes(there, "m", IN, peer, port), carried.firewall.rules


def test_the_blacklist_of_a_cluster_holds_before_every_rule() -> None:
    carried = pve.read(MACHINE % ("[IPSET blacklist]\n198.51.100.0/24", ""), "x")
    there = compiled(carried, m={"vmid": "1"})
    assert passes(there, "m", IN, "203.0.113.5", 22)
    assert not passes(there, "m", IN, "198.51.100.5", 22)


@pytest.mark.parametrize("module", [openstack, networkpolicy, nsx, pve, nwfilter])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "\x00\xff",
        "[" * 100_000,
        '{"a":' * 3000,
        "<!DOCTYPE x [<!ENTITY a 'b'>]><filter/>",
        "<filter>" * 100,
        '{"security_groups": [{"name": 5, "rules": [1, null, {"direction": 7}]}, 8]}',
        '{"security_policies": [{"rules": [{"source_groups": [{}], "services": 5}, 3]}]}',
        "kind: NetworkPolicy\nspec: {podSelector: 5, ingress: [3, {from: [4]}]}",
        '[RULES]\nIN\nIN ACCEPT -source\nOUT "x\nGROUP\nFOO BAR',
        "<filter name='a'><filterref filter='a'/><rule/><rule action='drop' direction='in'><tcp a='b'/><b/></rule></filter>",
    ],
    ids=range(14),
)
def test_garbage_gets_an_answer(module: Any, text: str) -> None:
    try:
        carried = module.read(text, "x")
    except Invalid:
        return  # an answer: what is read below would not be one
    assert read_groups(to_text(carried.firewall), "again").firewall.groups
