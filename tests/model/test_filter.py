"""What a Filter refuses to be, and what it means packet by packet. Kernels are held against it elsewhere."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from yamori.model.errors import Invalid
from yamori.model.filter import Addressing, Failure, Filter, Rates, Replies, fallback, link_local
from yamori.model.filter_rule import (
    ACK,
    ICMP,
    ICMPV6,
    OPENING,
    SYN,
    TCP,
    UDP,
    Block,
    Direction,
    Flags,
    Rate,
    Rule,
    Span,
)
from yamori.model.packet import ARP, IPV4, IPV6, VLAN, Arp, Icmp, Ip, Packet, Quote
from yamori.model.verdict import State, judge, verdict

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAC, PEER_MAC = "52:54:00:00:00:01", bytes.fromhex("02aa00000002")
OWN, PEER, STRANGER = ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("198.51.100.1")
WEB = Rule(id="web", direction=Direction.IN, protocol=TCP, ports=(Span(low=443, high=443),))
DNS = Rule(
    id="dns", direction=Direction.OUT, protocol=UDP, ports=(Span(low=53, high=53),), peers=(ip_network(PEER),)
)
FILTER = Filter(port="vm1/0", mac=MAC, addresses=(ip_network(OWN),), rules=(WEB, DNS))


def packet(way: Direction, peer: Any = PEER, **more: Any) -> Packet:
    own = bytes.fromhex(MAC.replace(":", ""))
    macs = (own, PEER_MAC) if way is Direction.OUT else (PEER_MAC, own)
    ends = (OWN, peer) if way is Direction.OUT else (peer, OWN)
    ip = Ip(source=ends[0], target=ends[1], **more)
    return Packet(direction=way, source_mac=macs[0], target_mac=macs[1], kind=IPV4, body=ip)


def tcp(way: Direction, ports: tuple[int, int], flags: int = SYN, peer: Any = PEER) -> Packet:
    return packet(way, peer, protocol=TCP, source_port=ports[0], target_port=ports[1], flags=flags)


def udp(way: Direction, ports: tuple[int, int], peer: Any = PEER) -> Packet:
    return packet(way, peer, protocol=UDP, source_port=ports[0], target_port=ports[1])


def told(wanted: Filter, one: Packet, *, proven: bool = False, state: State | None = None) -> tuple[bool, str]:
    found = verdict(wanted, one, state or State(now=NOW), proven=proven)
    return found.allowed, found.rule


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": ""},
        {"port": "a b"},
        {"port": "x" * 129},
        {"port": 'a"; drop'},
        {"mac": "52:54:00:00:00:0"},
        {"mac": "52:54:00:00:00:0G"},
        {"mac": "52-54-00-00-00-01"},
        {"mac": "53:54:00:00:00:01"},
        {"mac": "52:54:00:00:00:01\n"},
        {"addresses": (ip_network("10.0.0.1"),) * 65},
        {"rules": (WEB, WEB)},
        {"rules": tuple(replace(WEB, id=f"r{n}") for n in range(257))},
        {"reserved": (ip_network("10.0.0.0/8"),)},
        {"routers": (ip_address("2001:db8::1"),)},
        {"isolation": (ip_network("10.0.0.9"),) * 65},
    ],
    ids=range(15),
)
def test_a_filter_that_makes_no_sense_is_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        replace(FILTER, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "Web"},
        {"id": ""},
        {"id": "a" * 65},
        {"id": "port:mac"},
        {"id": "accept\n"},
        {"protocol": 256},
        {"protocol": None},
        {"protocol": ICMP},
        {"types": (8,)},
        {"protocol": ICMP, "ports": (), "types": (256,)},
        {"protocol": ICMP, "ports": (), "types": tuple(range(40))},
        {"protocol": ICMP, "ports": (), "peers": (ip_network("::/0"),)},
        {"protocol": ICMPV6, "ports": (), "peers": (ip_network("10.0.0.0/8"),)},
        {"ports": (Span(low=1, high=1),) * 65},
        {"peers": (ip_network("10.0.0.0/8"),) * 1025},
    ],
    ids=range(15),
)
def test_a_rule_that_makes_no_sense_is_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        replace(WEB, **wrong)


def test_spans_flags_rates_and_blocks_have_their_bounds() -> None:
    for low, high in ((-1, 2), (3, 2), (0, 65536)):
        with pytest.raises(Invalid):
            Span(low=low, high=high)
    for mask, value in ((0, 0), (256, 0), (SYN, ACK)):
        with pytest.raises(Invalid):
            Flags(mask=mask, value=value)
    for per_second, burst in ((0, 1), (1, 0), (10_000_001, 1), (float("nan"), 1)):
        with pytest.raises(Invalid):
            Rate(per_second=per_second, burst=burst)  # type: ignore[arg-type]
    good = Block(id="b", direction=Direction.IN, until=NOW)
    for wrong in (
        {"until": NOW.replace(tzinfo=None)},
        {"flags": OPENING},
        {"protocol": TCP, "hops": Span(low=1, high=300)},
        {"protocol": ICMP, "ports": (Span(low=1, high=1),)},
        {"protocol": TCP, "ports": (Span(low=1, high=1),) * 65},
        {"id": "?"},
    ):
        with pytest.raises(Invalid):
            replace(good, **wrong)


def test_what_no_rule_allows_is_dropped() -> None:
    assert told(FILTER, tcp(Direction.IN, (5000, 443))) == (True, "web")
    assert told(FILTER, tcp(Direction.IN, (5000, 22))) == (False, "port:default")
    assert told(FILTER, udp(Direction.OUT, (5000, 53))) == (True, "dns")
    assert told(FILTER, udp(Direction.OUT, (5000, 53), STRANGER)) == (False, "port:default")
    assert told(FILTER, tcp(Direction.OUT, (5000, 443))) == (False, "port:default")


def test_without_tracking_an_answer_is_known_by_its_form_and_that_is_weaker() -> None:
    assert told(FILTER, tcp(Direction.OUT, (443, 5000), SYN | ACK)) == (True, "reply:web")
    assert told(FILTER, tcp(Direction.OUT, (443, 5000), SYN)) == (False, "port:default"), "nothing can be opened"
    assert told(FILTER, udp(Direction.IN, (53, 5000))) == (True, "reply:dns"), "though nobody has asked"
    assert told(FILTER, udp(Direction.IN, (53, 5000), STRANGER)) == (False, "port:default")


def test_with_tracking_only_what_was_asked_for_comes_back() -> None:
    answer = udp(Direction.IN, (53, 5000))
    assert told(FILTER, answer, proven=True) == (False, "port:default")
    _, state = judge(FILTER, udp(Direction.OUT, (5000, 53)), State(now=NOW), proven=True)
    assert told(FILTER, answer, proven=True, state=state) == (True, "reply:dns")
    assert told(FILTER, udp(Direction.IN, (53, 5001)), proven=True, state=state) == (False, "port:default")


def test_taking_a_rule_away_ends_the_connections_that_it_allowed() -> None:
    _, state = judge(FILTER, udp(Direction.OUT, (5000, 53)), State(now=NOW), proven=True)
    without = replace(FILTER, rules=(WEB,))
    assert told(without, udp(Direction.IN, (53, 5000)), proven=True, state=state) == (False, "port:default")


def test_without_replies_each_way_needs_its_own_rule() -> None:
    assert told(replace(FILTER, replies=Replies.NONE), udp(Direction.IN, (53, 5000))) == (False, "port:default")


def test_a_block_ends_at_its_time() -> None:
    block = Block(
        id="flood", direction=Direction.IN, until=NOW + timedelta(seconds=10), protocol=TCP, flags=OPENING
    )
    blocked = replace(FILTER, blocks=(block,))
    one = tcp(Direction.IN, (5000, 443))
    assert told(blocked, one) == (False, "flood")
    assert told(blocked, tcp(Direction.IN, (5000, 443), ACK)) == (True, "web")
    assert told(blocked, one, state=State(now=NOW + timedelta(seconds=10))) == (True, "web")
    tagged = replace(one, kind=VLAN)
    assert told(blocked, tagged) == (False, "port:ethertype"), "a block is about IP"


def test_isolation_leaves_the_management_peers_only_and_them_only_to_ask() -> None:
    cut = replace(FILTER, isolation=(ip_network(STRANGER),))
    assert told(cut, tcp(Direction.IN, (5000, 443))) == (False, "port:default")
    assert told(cut, tcp(Direction.IN, (5000, 22), peer=STRANGER)) == (True, "isolation")
    assert told(cut, tcp(Direction.OUT, (22, 5000), SYN | ACK, STRANGER)) == (True, "reply:isolation")
    assert told(cut, tcp(Direction.OUT, (5000, 22), SYN, STRANGER)) == (False, "port:default")
    assert told(replace(FILTER, isolation=()), tcp(Direction.IN, (5000, 22), peer=STRANGER))[0] is False


def test_a_rate_lets_its_burst_pass_and_then_so_many_a_second() -> None:
    held = replace(FILTER, rates=Rates(connections_in=Rate(per_second=2, burst=3)))
    state, passed = State(now=NOW), []
    for at in (0, 0, 0, 0, 0.4, 0.5, 0.6, 1.0):
        state = replace(state, now=NOW + timedelta(seconds=at))
        found, state = judge(held, tcp(Direction.IN, (5000, 443)), state, proven=False)
        passed.append(found.allowed)
    assert passed == [True, True, True, False, False, True, False, True]


def test_each_peer_has_a_rate_of_its_own() -> None:
    held = replace(FILTER, rates=Rates(peer_in=Rate(per_second=1, burst=1)))
    state, found = State(now=NOW), []
    for peer in (PEER, PEER, STRANGER):
        one, state = judge(held, tcp(Direction.IN, (5000, 443), peer=peer), state, proven=False)
        found.append(one.rule)
    assert found == ["web", "port:rate-peer", "web"]


def test_errors_about_its_own_packets_reach_the_vm() -> None:
    def error(source: Any) -> Packet:
        quote = Quote(source=source, target=PEER, protocol=UDP, source_port=5000, target_port=53)
        return packet(Direction.IN, STRANGER, protocol=ICMP, icmp=Icmp(type=3, code=4, quote=quote))

    assert told(FILTER, error(OWN)) == (True, "port:icmp-error")
    assert told(FILTER, error(PEER)) == (False, "port:default")
    assert told(FILTER, error(OWN), proven=True) == (False, "port:default"), "it has sent no such packet"
    _, state = judge(FILTER, udp(Direction.OUT, (5000, 53)), State(now=NOW), proven=True)
    assert told(FILTER, error(OWN), proven=True, state=state) == (True, "port:icmp-error")


def test_where_addresses_are_not_known_the_mac_is_the_identity_but_never_a_reserved_address() -> None:
    anything = replace(
        FILTER,
        addresses=(),
        addressing=Addressing.ANY,
        reserved=(ip_network(STRANGER),),
        rules=(Rule(id="out", direction=Direction.OUT),),
    )
    own = anything.hardware

    def claims(sender: Any) -> Packet:
        arp = Arp(operation=2, sender_mac=own, sender=sender, target_mac=PEER_MAC, target=PEER)  # type: ignore[arg-type]
        return Packet(direction=Direction.OUT, source_mac=own, target_mac=PEER_MAC, kind=ARP, body=arp)

    assert told(anything, claims(OWN)) == (True, "port:arp")
    assert told(anything, claims(STRANGER)) == (False, "port:arp-spoof")
    assert told(anything, udp(Direction.OUT, (1, 2))) == (True, "out")


def test_the_link_local_address_follows_from_the_mac() -> None:
    assert link_local(bytes.fromhex("525400123456")) == ip_address("fe80::5054:ff:fe12:3456")
    six = Ip(
        source=link_local(FILTER.hardware), target=ip_address("ff02::2"), protocol=ICMPV6, icmp=Icmp(type=133)
    )
    one = Packet(direction=Direction.OUT, source_mac=FILTER.hardware, target_mac=PEER_MAC, kind=IPV6, body=six)
    assert told(FILTER, one) == (True, "port:nd")


def test_the_fallback_keeps_identity_and_closes_or_opens_the_rest() -> None:
    closed, opened = fallback(FILTER), fallback(replace(FILTER, failure=Failure.OPEN))
    one = tcp(Direction.IN, (5000, 443))
    assert told(closed, one) == (False, "port:default")
    assert told(opened, one) == (True, "open-in")
    spoofed = replace(udp(Direction.OUT, (1, 2)), source_mac=PEER_MAC)
    assert told(opened, spoofed) == (False, "port:mac")
    isolated = replace(FILTER, failure=Failure.OPEN, isolation=())
    assert told(fallback(isolated), one) == (False, "port:default"), (
        "who is isolated is never let out by a failure"
    )
