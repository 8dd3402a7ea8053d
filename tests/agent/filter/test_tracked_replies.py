"""Where the host tracks connections, only what was asked for comes back: random talks, sent for real."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agent.filter.generated import NOW, OWN4, OWN6, rules, talks
from tests.agent.filter.stage import GUEST, GUEST_MAC, PEER, Stage
from tests.agent.functions.space import why_not
from yamori.agent.filter.way import Way
from yamori.model.filter import Filter
from yamori.model.filter_rule import SYN, TCP, Direction, Network, Rule, Span
from yamori.model.packet import IPV4, Ip, Packet
from yamori.model.verdict import State, judge

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    made = Stage(shown_to_ip=True)
    yield made
    made.close()


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(allowed=st.lists(rules(0), min_size=1, max_size=3), talk=talks(), fragments=st.booleans())
def test_with_tracking_each_packet_of_a_talk_gets_the_verdict_of_the_model(
    stage: Stage, allowed: list[Rule], talk: list[Any], *, fragments: bool
) -> None:
    own: tuple[Network, ...] = tuple(_network(a) for a in (OWN4, OWN6))
    numbered = tuple(_numbered(rule, n) for n, rule in enumerate(allowed))
    wanted = Filter(port="vm1/0", mac=GUEST, addresses=own, rules=numbered, fragments=fragments)
    stage.apply(wanted, Way.MARKED)
    stage.forget_connections()
    state = State(now=NOW)
    for packet in talk:
        told, state = judge(wanted, packet, state, proven=True)
        assert stage.say([packet]) == [told.allowed], (packet, told)


def test_what_is_dropped_leaves_nothing_in_the_host_s_tracking(stage: Stage) -> None:
    """A flood that the port drops cannot fill the table that all VMs of the host share."""
    own: tuple[Network, ...] = tuple(_network(a) for a in (OWN4, OWN6))
    web = Rule(id="web", direction=Direction.IN, protocol=TCP, ports=(Span(low=443, high=443),))
    stage.apply(Filter(port="vm1/0", mac=GUEST, addresses=own, rules=(web,)), Way.MARKED)
    stage.forget_connections()
    assert stage.say([_syn(n, 80) for n in range(300)]) == [False] * 300
    assert stage.connections() == 0
    assert all(stage.say([_syn(n, 443) for n in range(20)]))
    assert stage.connections() == 20


def _syn(number: int, port: int) -> Packet:
    source = ip_address(int(ip_address("198.51.100.0")) + number % 250)
    ip = Ip(source=source, target=OWN4, protocol=TCP, source_port=1024 + number, target_port=port, flags=SYN)
    return Packet(direction=Direction.IN, source_mac=PEER, target_mac=GUEST_MAC, kind=IPV4, body=ip)


def _network(address: Any) -> Network:
    return ip_network(address)


def _numbered(rule: Rule, number: int) -> Rule:
    return replace(rule, id=f"r{number}")
