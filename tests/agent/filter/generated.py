"""Random Filters and random packets, from a world so small that they often have to do with one another."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from hypothesis import strategies as st

from tests.agent.filter.stage import ELSEWHERE, EVERYBODY, GROUP, GUEST, GUEST_MAC, PEER
from yamori.model.filter import Addressing, Filter, Rates, Replies, Service, link_local
from yamori.model.filter_rule import (
    ACK,
    FIN,
    ICMP,
    ICMPV6,
    PSH,
    RST,
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
from yamori.model.packet import ARP, IPV4, IPV6, RARP, VLAN, Arp, Icmp, Ip, Packet, Quote

NOW = datetime.now(UTC)
OWN4, OWN6 = ip_address("10.0.0.1"), ip_address("2001:db8::1")
LINK = link_local(GUEST_MAC)
HOSTS4 = [ip_address(a) for a in ("10.0.0.1", "10.0.0.2", "10.0.1.7", "10.9.0.1", "198.51.100.5", "0.0.0.0")]
HOSTS6 = [
    *(ip_address(a) for a in ("2001:db8::1", "2001:db8::2", "2001:db8:9::1", "fe80::1", "fe80::2", "::")),
    LINK,
]
TO4 = [*HOSTS4[:5], ip_address("255.255.255.255"), ip_address("224.0.0.251")]
TO6 = [*HOSTS6[:5], LINK, ip_address("ff02::1"), ip_address("ff02::1:2"), ip_address("ff02::2")]
NETWORKS = [
    *(
        ip_network(n)
        for n in ("10.0.0.0/24", "10.0.0.2/32", "10.0.0.0/15", "198.51.100.0/25", "0.0.0.0/0", "10.9.0.1/32")
    ),
    *(ip_network(n) for n in ("2001:db8::/64", "2001:db8:9::/48", "::/0", "fe80::2/128", "2001:db8::2/128")),
    *(ip_network(f"172.16.{i}.0/24") for i in range(6)),
]
PORTS = [0, 22, 53, 67, 68, 80, 443, 546, 547, 5000, 8000, 65535]
FLAGS = [SYN, SYN | ACK, ACK, RST, RST | ACK, FIN | ACK, PSH | ACK, SYN | FIN, 0, 255]

_MUCH = Rate(per_second=100_000, burst=100_000)
AMPLE = Rates(packets_in=_MUCH, connections_in=_MUCH, connections_out=_MUCH, peer_in=_MUCH, peer_out=_MUCH)
"""Rates that hold nothing back here: the rules that carry them must not change anything else."""

ways = st.sampled_from(Direction)
spans = st.builds(lambda a, b: Span(low=min(a, b), high=max(a, b)), st.sampled_from(PORTS), st.sampled_from(PORTS))
single = st.sampled_from(PORTS).map(lambda p: Span(low=p, high=p))
some_spans = st.lists(spans | single, max_size=3).map(tuple) | st.just(
    tuple(Span(low=p, high=p + 1) for p in (20, 52, 79, 442, 4999, 7999))
)
networks = st.lists(st.sampled_from(NETWORKS), max_size=7).map(tuple)


@st.composite
def rules(draw: Any, number: int) -> Rule:
    protocol = draw(st.sampled_from([None, TCP, TCP, UDP, UDP, ICMP, ICMPV6, 47]))
    peers = draw(networks)
    ported = protocol in (TCP, UDP)
    version = {ICMP: 4, ICMPV6: 6}.get(protocol)
    types = draw(st.sets(st.sampled_from([0, 3, 8, 13, 128, 129, 1, 5]), max_size=4))
    return Rule(
        id=f"r{number}",
        direction=draw(ways),
        peers=tuple(p for p in peers if version in (None, p.version)),
        protocol=protocol,
        ports=draw(some_spans) if ported else (),
        client_ports=draw(some_spans) if ported and draw(st.booleans()) else (),
        types=tuple(sorted(types)) if version else (),
    )


@st.composite
def blocks(draw: Any, number: int) -> Block:
    protocol = draw(st.sampled_from([None, TCP, UDP, ICMP, ICMPV6]))
    version = {ICMP: 4, ICMPV6: 6}.get(protocol)
    mask = draw(st.integers(1, 255))
    ported = protocol in (TCP, UDP)
    return Block(
        id=f"b{number}",
        direction=draw(ways),
        until=NOW + timedelta(hours=draw(st.sampled_from([-30, 30]))),
        peers=tuple(p for p in draw(networks) if version in (None, p.version)),
        protocol=protocol,
        ports=draw(some_spans) if ported else (),
        source_ports=draw(some_spans) if ported and draw(st.booleans()) else (),
        flags=Flags(mask=mask, value=mask & draw(st.sampled_from(FLAGS))) if protocol == TCP else None,
        hops=draw(st.none() | st.sampled_from([Span(low=60, high=70), Span(low=255, high=255)])),
    )


@st.composite
def filters(draw: Any) -> Filter:
    addressing = draw(st.sampled_from([Addressing.PINNED] * 4 + [Addressing.ANY]))
    own = [ip_network("10.0.0.1"), ip_network("2001:db8::1"), ip_network("10.0.1.0/29")]
    many = [ip_network(f"10.200.{i}.0/24") for i in range(6)]
    return Filter(
        port=f"vm{draw(st.integers(1, 3))}/0",
        mac=GUEST,
        addresses=tuple(draw(st.sampled_from([own, own[:2], own[:1], [], own + many]))),
        addressing=addressing,
        reserved=tuple(
            draw(st.lists(st.sampled_from([ip_network("10.9.0.1"), ip_network("fe80::1")]), max_size=2))
        ),
        dhcp_servers=tuple(draw(st.lists(st.sampled_from([HOSTS4[1], HOSTS6[4]]), unique=True, max_size=2))),
        routers=tuple(draw(st.sampled_from([[], [IPv6Address("fe80::1")]]))),
        serves=draw(st.sampled_from([frozenset(), frozenset(Service), frozenset({Service.DHCP})])),
        rules=tuple(draw(rules(n)) for n in range(draw(st.integers(0, 5)))),
        blocks=tuple(draw(blocks(n)) for n in range(draw(st.sampled_from([0, 0, 1, 2])))),
        isolation=draw(st.sampled_from([None] * 5 + [(), (ip_network("10.0.0.2"), ip_network("fe80::2"))])),
        replies=draw(st.sampled_from([Replies.PASS] * 3 + [Replies.NONE])),
        rates=draw(st.sampled_from([Rates(), Rates(), AMPLE])),
        errors=draw(st.booleans()),
        fragments=draw(st.booleans()),
    )


@st.composite
def bodies(draw: Any, way: Direction) -> Ip:
    version = draw(st.sampled_from([4, 6]))
    here, there = (HOSTS4, TO4) if version == 4 else (HOSTS6, TO6)
    own = [OWN4] if version == 4 else [OWN6, LINK]
    source = draw(st.sampled_from(here) | st.sampled_from(own)) if way is Direction.OUT else None
    source = draw(st.sampled_from(here)) if source is None else source
    target = draw(st.sampled_from(there))
    protocol = draw(st.sampled_from([TCP, TCP, UDP, UDP, ICMP, ICMPV6, 47, 132]))
    if protocol in (ICMP, ICMPV6):
        protocol = draw(st.sampled_from([ICMP if version == 4 else ICMPV6] * 5 + [protocol]))
    shape = {
        "source": source,
        "target": target,
        "protocol": protocol,
        "hops": draw(st.sampled_from([64, 255, 1])),
        "extended": version == 6 and draw(st.sampled_from([False, False, True])),
    }
    if version == 6 and draw(st.integers(0, 15)) == 0:
        return Ip(**shape, headless=True)
    if draw(st.integers(0, 11)) == 0:
        return Ip(**shape, offset=draw(st.sampled_from([8, 1480])))
    if protocol == TCP:
        ports = [draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))]
        return Ip(**shape, source_port=ports[0], target_port=ports[1], flags=draw(st.sampled_from(FLAGS)))
    if protocol == UDP:
        talk = [(a, b) for a in PORTS for b in PORTS] + [(68, 67), (67, 68), (546, 547), (547, 546)] * 20
        a, b = draw(st.sampled_from(talk))
        client = draw(st.sampled_from([GUEST_MAC, GUEST_MAC, PEER])) if {a, b} == {67, 68} else None
        return Ip(**shape, source_port=a, target_port=b, client=client)
    if protocol in (ICMP, ICMPV6):
        return Ip(**shape, icmp=draw(icmps(version, protocol)))
    return Ip(**shape)


@st.composite
def icmps(draw: Any, version: int, protocol: int) -> Icmp:
    identity = draw(st.integers(0, 3))
    errors = [3, 11, 12] if protocol == ICMP else [1, 2, 3, 4]
    kind = draw(st.sampled_from([0, 8, 5, 13, 14] if protocol == ICMP else [128, 129, 130, 131, 132, 143, 200]))
    what = draw(st.sampled_from(["plain", "error"] if protocol == ICMP else ["plain", "error", "nd", "nd"]))
    if what == "error":
        hosts = HOSTS4 if version == 4 else HOSTS6
        quote = Quote(
            source=draw(st.sampled_from(hosts)),
            target=draw(st.sampled_from(hosts)),
            protocol=UDP,
            source_port=5000,
            target_port=53,
        )
        return Icmp(type=draw(st.sampled_from(errors)), quote=quote)
    if what == "plain":
        return Icmp(type=kind, identity=identity)
    options = [b"", b"\x02\x01" + GUEST_MAC, b"\x01\x01" + GUEST_MAC, b"\x02\x01" + PEER, b"\x0e\x01nonce!"]
    options += [b"\x0e\x01nonce!\x02\x01" + PEER, b"\x0e\x02nonce!"]
    return Icmp(
        type=draw(st.sampled_from([133, 134, 135, 136, 137])),
        claimed=draw(st.sampled_from(HOSTS6) | st.just(OWN6)),
        options=draw(st.sampled_from(options)),
    )


@st.composite
def arps(draw: Any) -> Arp:
    macs = st.sampled_from([GUEST_MAC, GUEST_MAC, PEER])
    return Arp(
        operation=draw(st.sampled_from([1, 2, 3, 8])),
        sender_mac=draw(macs),
        sender=draw(st.sampled_from([a for a in HOSTS4 if isinstance(a, IPv4Address)])),
        target_mac=draw(macs),
        target=IPv4Address("10.0.0.2"),
        ethernet=draw(st.sampled_from([True] * 5 + [False])),
    )


@st.composite
def packets(draw: Any, way: Direction) -> Packet:
    if way is Direction.OUT:
        source = draw(st.sampled_from([GUEST_MAC] * 9 + [ELSEWHERE]))
        target = draw(st.sampled_from([PEER, EVERYBODY, GROUP] * 5 + [bytes.fromhex("0180c200000e")]))
    else:
        source = PEER
        target = draw(st.sampled_from([GUEST_MAC] * 6 + [EVERYBODY, GROUP, ELSEWHERE]))
    what = draw(st.sampled_from(["ip"] * 8 + ["arp", "rarp", "vlan", "other"]))
    body: Arp | Ip | None = None
    kind = draw(st.sampled_from([0x88CC, 0x8863, 0x0842]))
    if what in ("ip", "vlan"):
        body = draw(bodies(way))
        kind = VLAN if what == "vlan" else IPV4 if body.source.version == 4 else IPV6
    elif what in ("arp", "rarp"):
        body = draw(arps())
        kind = ARP if what == "arp" else RARP
    return Packet(direction=way, source_mac=source, target_mac=target, kind=kind, body=body)


@st.composite
def talks(draw: Any) -> list[Packet]:
    """Packets both ways between the VM and few peers, many of which answer, or report on, an earlier one."""
    said: list[Ip] = []
    sent: list[Packet] = []
    for _ in range(draw(st.integers(8, 20))):
        way = draw(ways)
        earlier = [ip for ip in said if (ip.target in (OWN4, OWN6)) is (way is Direction.OUT)]
        what = draw(st.sampled_from(["new", "answer", "answer", "error"])) if earlier else "new"
        if what == "new":
            ip = draw(openings(way))
        else:
            ip = (
                answer(draw(st.sampled_from(earlier)))
                if what == "answer"
                else report(draw(st.sampled_from(earlier)))
            )
        if ip.icmp is None or ip.icmp.quote is None:
            said.append(ip)
        macs = (GUEST_MAC, PEER) if way is Direction.OUT else (PEER, GUEST_MAC)
        kind = IPV4 if ip.source.version == 4 else IPV6
        sent.append(Packet(direction=way, source_mac=macs[0], target_mac=macs[1], kind=kind, body=ip))
    return sent


@st.composite
def openings(draw: Any, way: Direction) -> Ip:
    version = draw(st.sampled_from([4, 6]))
    own, peers = (OWN4, HOSTS4[1:5]) if version == 4 else (OWN6, HOSTS6[1:3])
    peer = draw(st.sampled_from(peers))
    source, target = (own, peer) if way is Direction.OUT else (peer, own)
    protocol = draw(st.sampled_from([TCP, UDP, ICMP if version == 4 else ICMPV6, 253]))
    shape: dict[str, Any] = {"source": source, "target": target, "protocol": protocol}
    if protocol in (TCP, UDP):
        shape |= {
            "source_port": draw(st.sampled_from([22, 53, 80, 5000])),
            "target_port": draw(st.sampled_from([80, 53])),
        }
    if protocol == TCP:
        shape["flags"] = draw(st.sampled_from([SYN, SYN, SYN | ACK, ACK]))
    if protocol in (ICMP, ICMPV6):
        kinds = [8, 0, 13] if protocol == ICMP else [128, 129]
        shape["icmp"] = Icmp(type=draw(st.sampled_from(kinds)), identity=draw(st.integers(1, 2)))
    return Ip(**shape)


def answer(to: Ip) -> Ip:
    """What the other side would say next."""
    turned = {
        "source": to.target,
        "target": to.source,
        "source_port": to.target_port,
        "target_port": to.source_port,
    }
    icmp = to.icmp
    if icmp is not None:
        icmp = replace(icmp, type={8: 0, 13: 14, 128: 129}.get(icmp.type, icmp.type))
    return replace(to, **turned, icmp=icmp, flags={SYN: SYN | ACK}.get(to.flags, ACK) if to.flags else 0)


def report(on: Ip) -> Ip:
    """An error about a packet, from whom it went to."""
    if on.protocol not in (TCP, UDP):
        return answer(on)
    quote = Quote(
        source=on.source,
        target=on.target,
        protocol=on.protocol,
        source_port=on.source_port or 0,
        target_port=on.target_port or 0,
    )
    version = on.source.version
    icmp = Icmp(type=3 if version == 4 else 1, quote=quote)
    return Ip(source=on.target, target=on.source, protocol=ICMP if version == 4 else ICMPV6, icmp=icmp)
