"""A guest that says it is somebody else, each way that there is: nothing comes through, and why is counted."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.agent.filter.frames import checksum
from tests.agent.filter.generated import LINK, OWN4, OWN6
from tests.agent.filter.stage import ELSEWHERE, EVERYBODY, GROUP, GUEST, GUEST_MAC, PEER, TAP, UPLINK, Stage
from tests.agent.functions.space import why_not
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.way import Way
from yamori.model.filter import Filter, Service
from yamori.model.filter_rule import ICMPV6, TCP, UDP, Direction, Rule
from yamori.model.packet import ARP, IPV4, IPV6, RARP, VLAN, Arp, Icmp, Ip, Packet

pytestmark = pytest.mark.lab
SERVER4, SERVER6, ROUTER = ip_address("10.0.0.2"), ip_address("fe80::53"), ip_address("fe80::1")
OTHER4, OTHER6 = ip_address("10.0.0.9"), ip_address("2001:db8::9")
OPEN = Filter(
    port="vm1/0",
    mac=GUEST,
    addresses=(ip_network("10.0.0.1"), ip_network("2001:db8::1")),
    dhcp_servers=(SERVER4, SERVER6),
    routers=(ROUTER,),  # type: ignore[arg-type]
    rules=tuple(Rule(id=f"all-{way}", direction=way) for way in Direction),
)
"""A port whose rules allow everything: what is dropped, identity drops."""


@pytest.fixture(scope="module", params=Seat)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    made = Stage(shown_to_ip=False, seat=request.param)
    made.apply(OPEN)
    yield made
    made.close()


def out(body: Arp | Ip, kind: int, **more: Any) -> Packet:
    shape = {"source_mac": GUEST_MAC, "target_mac": EVERYBODY} | more
    return Packet(direction=Direction.OUT, kind=kind, body=body, **shape)


def into(body: Arp | Ip, kind: int, **more: Any) -> Packet:
    shape = {"source_mac": PEER, "target_mac": GUEST_MAC} | more
    return Packet(direction=Direction.IN, kind=kind, body=body, **shape)


def arp(**more: Any) -> Arp:
    shape = {"operation": 1, "sender_mac": GUEST_MAC, "sender": OWN4, "target_mac": bytes(6), "target": OTHER4}
    return Arp(**(shape | more))


def udp(source: Any, target: Any, ports: tuple[int, int] = (5000, 53), **more: Any) -> Ip:
    return Ip(source=source, target=target, protocol=UDP, source_port=ports[0], target_port=ports[1], **more)


def nd(kind: int, source: Any, **more: Any) -> Ip:
    about = {k: more.pop(k) for k in ("claimed", "options") if k in more}
    about.setdefault("claimed", OWN6)
    shape = {"target": ip_address("ff02::1"), "protocol": ICMPV6, "hops": 255} | more
    return Ip(source=source, icmp=Icmp(type=kind, **about), **shape)


GOOD = {
    "its own address": out(udp(OWN4, OTHER4), IPV4),
    "its own address over IPv6": out(udp(OWN6, OTHER6), IPV6),
    "its link-local address": out(udp(LINK, OTHER6), IPV6),
    "ARP for itself": out(arp(), ARP),
    "an ARP answer": out(arp(operation=2, target_mac=PEER), ARP, target_mac=PEER),
    "an ARP probe": out(arp(sender=ip_address("0.0.0.0"), target=OWN4), ARP),
    "the announcement of a VM that has moved": out(
        arp(operation=3, target_mac=GUEST_MAC, sender=ip_address("0.0.0.0"), target=ip_address("0.0.0.0")), RARP
    ),
    "asking for an address": out(
        udp(ip_address("0.0.0.0"), ip_address("255.255.255.255"), (68, 67), client=GUEST_MAC), IPV4
    ),
    "being offered one": into(udp(SERVER4, OWN4, (67, 68), client=GUEST_MAC), IPV4),
    "looking for a neighbour": out(nd(135, OWN6, claimed=OTHER6, options=b"\x01\x01" + GUEST_MAC), IPV6),
    "looking whether its address is free": out(nd(135, ip_address("::"), options=b"\x0e\x01nonce!"), IPV6),
    "saying where it is": out(nd(136, OWN6, options=b"\x02\x01" + GUEST_MAC), IPV6),
    "looking for routers": out(nd(133, LINK), IPV6),
    "hearing its router": into(nd(134, ROUTER), IPV6),
}
BAD = {
    "another's MAC": (out(udp(OWN4, OTHER4), IPV4, source_mac=ELSEWHERE), "port:mac"),
    "another's MAC in ARP's frame": (out(arp(), ARP, source_mac=ELSEWHERE), "port:mac"),
    "another's address": (out(udp(OTHER4, OTHER4), IPV4), "port:address"),
    "another's address over IPv6": (out(udp(OTHER6, OWN6), IPV6), "port:address"),
    "the router's link-local address": (out(udp(ROUTER, OTHER6), IPV6), "port:address"),
    "no address": (out(udp(ip_address("0.0.0.0"), OTHER4), IPV4), "port:address"),
    "ARP for another": (out(arp(operation=2, sender=OTHER4), ARP), "port:arp-spoof"),
    "ARP with another's MAC": (out(arp(operation=2, sender_mac=PEER), ARP), "port:arp-spoof"),
    "ARP for no address": (out(arp(operation=2, sender=ip_address("0.0.0.0")), ARP), "port:arp-spoof"),
    "ARP of another kind": (out(arp(ethernet=False), ARP), "port:arp-spoof"),
    "RARP for another": (out(arp(operation=3, target_mac=PEER), RARP), "port:arp-spoof"),
    "a neighbour's address": (out(nd(136, OWN6, claimed=OTHER6), IPV6), "port:nd-spoof"),
    "the router's address": (out(nd(136, LINK, claimed=ROUTER), IPV6), "port:nd-spoof"),
    "a neighbour as the source": (out(nd(136, OTHER6), IPV6), "port:nd-spoof"),
    "another's MAC as its own": (out(nd(136, OWN6, options=b"\x02\x01" + PEER), IPV6), "port:nd-spoof"),
    "another's MAC behind an option": (
        out(nd(136, OWN6, options=b"\x0e\x01nonce!\x02\x01" + PEER), IPV6),
        "port:nd-spoof",
    ),
    "a neighbour behind an extension header": (
        out(nd(136, OWN6, claimed=OTHER6, extended=True), IPV6),
        "port:nd-spoof",
    ),
    "that another's address is taken": (out(nd(135, ip_address("::"), claimed=OTHER6), IPV6), "port:nd-spoof"),
    "a router": (out(nd(134, LINK), IPV6), "port:ra"),
    "a router behind an extension header": (out(nd(134, LINK, extended=True), IPV6), "port:ra"),
    "a redirect": (out(nd(137, LINK), IPV6), "port:ra"),
    "a DHCP server": (out(udp(OWN4, OTHER4, (67, 68), client=PEER), IPV4), "port:dhcp-server"),
    "a DHCPv6 server": (out(udp(LINK, OTHER6, (547, 546)), IPV6), "port:dhcp-server"),
    "another's request for an address": (
        out(udp(ip_address("0.0.0.0"), ip_address("255.255.255.255"), (68, 67), client=PEER), IPV4),
        "port:dhcp-spoof",
    ),
    "a querier": (
        out(Ip(source=LINK, target=ip_address("ff02::1"), protocol=ICMPV6, icmp=Icmp(type=130)), IPV6),
        "port:mld",
    ),
    "a VLAN": (out(udp(OWN4, OTHER4), VLAN), "port:ethertype"),
    "a switch's own protocol": (
        Packet(direction=Direction.OUT, source_mac=GUEST_MAC, target_mac=EVERYBODY, kind=0x88CC),
        "port:ethertype",
    ),
    "from outside: a strange DHCP server": (
        into(udp(OTHER4, OWN4, (67, 68), client=GUEST_MAC), IPV4),
        "port:dhcp-server",
    ),
    "from outside: a strange router": (into(nd(134, ip_address("fe80::666")), IPV6), "port:ra"),
    "from outside: a router further away": (into(nd(134, ROUTER, hops=64), IPV6), "port:ra"),
    "from outside: a neighbour further away": (
        into(nd(136, OTHER6, claimed=OTHER6, hops=254), IPV6),
        "port:nd-spoof",
    ),
    "from outside: the VM itself": (into(udp(OWN4, OWN4), IPV4), "port:address"),
    "from outside: what is for another": (into(udp(OTHER4, OWN4), IPV4, target_mac=ELSEWHERE), "port:mac"),
}


@pytest.mark.parametrize("packet", GOOD.values(), ids=GOOD.keys())
def test_what_a_guest_may_say_of_itself_passes(stage: Stage, packet: Packet) -> None:
    assert stage.say([packet]) == [True]


@pytest.mark.parametrize(("packet", "reason"), BAD.values(), ids=BAD.keys())
def test_nobody_passes_as(stage: Stage, packet: Packet, reason: str) -> None:
    key = (packet.direction, reason)
    before = stage.counts(OPEN.port).get(key, 0)
    assert stage.say([packet]) == [False]
    assert stage.counts(OPEN.port).get(key, 0) == before + 1


def test_a_vm_that_serves_as_router_and_for_dhcp_may(stage: Stage) -> None:
    stage.apply(replace(OPEN, serves=frozenset(Service)))
    try:
        served = [BAD[name][0] for name in ("a router", "a redirect", "a DHCP server", "a DHCPv6 server")]
        assert stage.say(served) == [True] * 4
        foreign = out(nd(134, ROUTER), IPV6)
        assert stage.say([foreign]) == [False], "but not as another router"
    finally:
        stage.apply(OPEN)


@pytest.mark.parametrize("last", range(16))
def test_a_frame_for_the_bridge_itself_does_not_teach_it_another_s_place(stage: Stage, last: int) -> None:
    """01:80:C2:00:00:0X passes by the hook `prerouting`, and would move the peer's MAC to the guest's port."""
    stage.say([into(udp(OTHER4, OWN4), IPV4)])
    lldp = bytes.fromhex("0180c20000") + bytes([last]) + PEER + b"\x88\xcc" + bytes(46)
    stage.send(Direction.OUT, [lldp])
    assert stage.learned(PEER) == UPLINK


def test_a_spoofed_mac_does_not_move_to_the_guest_s_port(stage: Stage) -> None:
    stage.say([into(udp(OTHER4, OWN4), IPV4)])
    stage.say([out(udp(OWN4, OTHER4), IPV4, source_mac=PEER)])
    assert stage.learned(PEER) == UPLINK


def malformed() -> Iterator[tuple[str, bytes]]:
    head4 = PEER + GUEST_MAC + b"\x08\x00"
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, TCP, 0) + OTHER4.packed + PEER[:4]
    ip = ip[:10] + checksum(ip) + ip[12:]
    yield "another's address, cut short", head4 + ip
    yield "a header of no length", head4 + b"\x40" + ip[1:] + bytes(20)
    yield "IPv6 in a frame for IPv4", head4 + b"\x60" + bytes(60)
    yield "ARP, cut short", EVERYBODY + GUEST_MAC + b"\x08\x06" + bytes.fromhex("0001080006040002") + GUEST_MAC
    head6 = GROUP + GUEST_MAC + b"\x86\xdd"
    base = struct.pack("!IHBB", 0x6000_0000, 24, 58, 255) + OWN6.packed + ip_address("ff02::1").packed
    yield "an advertisement, cut short", head6 + base + b"\x88\0\0\0\0\0\0\0" + bytes(4)
    longer = struct.pack("!IHBB", 0x6000_0000, 32, 58, 255) + base[8:]
    yield "an option that is not there", head6 + longer + b"\x88" + bytes(7) + OWN6.packed
    hidden = struct.pack("!BBHI", 60, 0, 1, 7) + b"\x3a\0\x01\x04\0\0\0\0"
    first = struct.pack("!IHBB", 0x6000_0000, len(hidden), 44, 255) + base[8:]
    yield "a first fragment without its message", head6 + first + hidden
    tagged = PEER + GUEST_MAC + b"\x81\x00\x00\x00\x08\x00" + b"\x45" + bytes(40)
    yield "a priority tag", tagged
    yield "two tags", PEER + GUEST_MAC + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00" + b"\x45" + bytes(40)


@pytest.mark.parametrize(("what", "sent"), list(malformed()), ids=[name for name, _ in malformed()])
def test_a_malformed_frame_does_not_pass(stage: Stage, what: str, sent: bytes) -> None:
    assert stage.send(Direction.OUT, [sent]) == set(), what


def test_a_port_without_a_filter_is_cut_off_where_its_name_says_that_it_is_a_vm_s(stage: Stage) -> None:
    packet = GOOD["its own address"]
    stage.with_engine(Way.PLAIN, lambda engine: engine.rebuild([]), fenced=("ta",))
    try:
        arrived = stage.send_without_last(Direction.OUT, packet)
        assert not arrived
        counted = stage.host.sh("nft list chain bridge yamori from")
        assert "packets 1" in counted
        assert "port:fence" in counted
        stage.with_engine(Way.PLAIN, lambda engine: engine.rebuild([]))
        assert stage.say([packet]) == [True], f"without the fence, {TAP} is nobody's business"
    finally:
        stage.apply(OPEN)
