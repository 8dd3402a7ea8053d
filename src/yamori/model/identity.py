"""Who a packet says it is, and whether the port may say so: the part of a Filter that comes before its rules.

ARP, neighbour discovery, DHCP, router advertisements and multicast membership are decided here for good; what is
left to the rules is IP under the VM's own name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from yamori.model.filter import Addressing, Filter, Service
from yamori.model.filter_rule import ICMPV6, UDP, Direction, Network
from yamori.model.packet import ARP, IPV4, IPV6, RARP, Address, Arp, Icmp, Ip, Packet

MAC, KIND, ADDRESS, ANNOUNCE = "port:mac", "port:ethertype", "port:address", "port:announce"
LOCAL_GROUP, HEADLESS = "port:link-local", "port:headless"
ARP_GOOD, ARP_BAD, ND_GOOD, ND_BAD = "port:arp", "port:arp-spoof", "port:nd", "port:nd-spoof"
DHCP_GOOD, DHCP_BAD, DHCP_SERVER, RA, MLD = (
    "port:dhcp",
    "port:dhcp-spoof",
    "port:dhcp-server",
    "port:ra",
    "port:mld",
)
SOLICIT_ROUTER, ADVERTISE_ROUTER, SOLICIT, ADVERTISE, REDIRECT = 133, 134, 135, 136, 137
"""ICMPv6 types of neighbour discovery (RFC 4861)."""
MLD_QUERY, MLD_REPORT, MLD_DONE, MLD2_REPORT = 130, 131, 132, 143
"""ICMPv6 types of multicast membership (RFC 2710, RFC 3810)."""
BROADCAST, EVERY_DHCP6 = IPv4Address("255.255.255.255"), IPv6Address("ff02::1:2")
NOWHERE4, NOWHERE6 = IPv4Address(0), IPv6Address(0)
BRIDGE_GROUP = bytes.fromhex("0180c20000")
"""The first five octets of the sixteen addresses that no bridge forwards (IEEE 802.1Q, 8.6.3)."""
NONCE = b"\x0e\x01"
"""Head of the option by which a host knows its own solicitation again (RFC 3971, RFC 7527)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The id of what decided, and how."""

    rule: str
    allowed: bool = False


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Say whether an address is in one of these networks."""
    return any(address.version == each.version and address in each for each in networks)


def is_mine(wanted: Filter, address: Address) -> bool:
    """Say whether the VM may call an address its own."""
    if wanted.addressing is Addressing.ANY:
        return not within(address, wanted.reserved)
    return within(address, wanted.own)


def identify(wanted: Filter, packet: Packet) -> Decided | None:
    """Decide what identity decides; None leaves an IP packet to the rules."""
    if packet.direction is Direction.OUT:
        if packet.source_mac != wanted.hardware:
            return Decided(rule=MAC)
    elif packet.target_mac != wanted.hardware and not packet.target_mac[0] & 1:
        return Decided(rule=MAC)
    body = packet.body
    if packet.kind == ARP and isinstance(body, Arp):
        good = _arp_out(wanted, body) if packet.direction is Direction.OUT else _arp_in(body)
        return Decided(rule=ARP_GOOD, allowed=True) if good else Decided(rule=ARP_BAD)
    if packet.kind == RARP and isinstance(body, Arp) and packet.direction is Direction.OUT:
        good = body.ethernet and body.operation == 3 and body.sender_mac == body.target_mac == wanted.hardware
        return Decided(rule=ANNOUNCE, allowed=True) if good else Decided(rule=ARP_BAD)
    if packet.kind not in (IPV4, IPV6) or not isinstance(body, Ip):
        return Decided(rule=KIND)
    if body.headless:
        return Decided(rule=HEADLESS)
    return _ip_out(wanted, body) if packet.direction is Direction.OUT else _ip_in(wanted, body)


def is_for_bridge(mac: bytes) -> bool:
    """Say whether a bridge takes a frame to this address itself: spanning tree, LLDP and their like."""
    return mac[:5] == BRIDGE_GROUP and mac[5] < 16


def _arp_out(wanted: Filter, arp: Arp) -> bool:
    """What a VM may say by ARP: its own names; or no name yet, as a probe (RFC 5227)."""
    if not arp.ethernet or arp.sender_mac != wanted.hardware:
        return False
    if arp.sender == NOWHERE4:
        return arp.operation == 1
    return arp.operation in (1, 2) and is_mine(wanted, arp.sender)


def _arp_in(arp: Arp) -> bool:
    return arp.ethernet and arp.operation in (1, 2)


def _ip_out(wanted: Filter, ip: Ip) -> Decided | None:
    if ip.protocol == UDP and ip.offset == 0:
        client, server = (68, 67) if ip.source.version == 4 else (546, 547)
        if (ip.source_port, ip.target_port) == (client, server):
            good = _dhcp_client(wanted, ip)
            return Decided(rule=DHCP_GOOD, allowed=True) if good else Decided(rule=DHCP_BAD)
        if ip.target_port == client and Service.DHCP not in wanted.serves:
            return Decided(rule=DHCP_SERVER)
    if ip.protocol == ICMPV6 and ip.source.version == 6 and ip.icmp is not None:
        decided = _SPOKEN.get(ip.icmp.type, _nothing)(wanted, ip, ip.icmp)
        if decided is not None:
            return decided
    return None if is_mine(wanted, ip.source) else Decided(rule=ADDRESS)


def _dhcp_client(wanted: Filter, ip: Ip) -> bool:
    """A request under the VM's own hardware address, to servers that may answer it."""
    servers = [each for each in wanted.dhcp_servers if each.version == ip.source.version]
    if not servers:
        return False
    if isinstance(ip.source, IPv6Address):
        return is_mine(wanted, ip.source) and (ip.target == EVERY_DHCP6 or ip.target in servers)
    if ip.client != wanted.hardware or not (ip.source == NOWHERE4 or is_mine(wanted, ip.source)):
        return False
    return ip.target == BROADCAST or ip.target in servers


def _nothing(wanted: Filter, ip: Ip, message: Icmp) -> Decided | None:
    return None


def _membership(wanted: Filter, ip: Ip, message: Icmp) -> Decided:
    good = ip.source == NOWHERE6 or is_mine(wanted, ip.source)
    return Decided(rule=MLD, allowed=good)


def _query(wanted: Filter, ip: Ip, message: Icmp) -> Decided:
    return Decided(rule=MLD)


def _solicit_router(wanted: Filter, ip: Ip, message: Icmp) -> Decided:
    good = ip.source == NOWHERE6 or is_mine(wanted, ip.source)
    return Decided(rule=ND_GOOD, allowed=True) if good else Decided(rule=ND_BAD)


def _speak_as_router(wanted: Filter, ip: Ip, message: Icmp) -> Decided:
    good = Service.ROUTER in wanted.serves and is_mine(wanted, ip.source)
    return Decided(rule=ND_GOOD, allowed=True) if good else Decided(rule=RA)


def _speak_of_itself(wanted: Filter, ip: Ip, message: Icmp) -> Decided:
    """Solicitations and advertisements of the VM: own source, own claim, and no option that points elsewhere.

    RFC 6980 forbids fragments; extension headers have no business here either, and would hide the message.
    """
    claims = message.type == ADVERTISE or ip.source == NOWHERE6
    allowed = {b"", NONCE, *(bytes([kind, 1]) + wanted.hardware for kind in (1, 2))}
    option = NONCE if message.options[:2] == NONCE and len(message.options) == 8 else message.options
    good = (
        not ip.extended
        and ip.hops == 255
        and option in allowed
        and (is_mine(wanted, ip.source) or (ip.source == NOWHERE6 and message.type == SOLICIT))
        and (not claims or (message.claimed is not None and is_mine(wanted, message.claimed)))
    )
    return Decided(rule=ND_GOOD, allowed=True) if good else Decided(rule=ND_BAD)


_SPOKEN: Mapping[int, Callable[[Filter, Ip, Icmp], Decided | None]] = {
    MLD_QUERY: _query,
    MLD_REPORT: _membership,
    MLD_DONE: _membership,
    MLD2_REPORT: _membership,
    SOLICIT_ROUTER: _solicit_router,
    ADVERTISE_ROUTER: _speak_as_router,
    REDIRECT: _speak_as_router,
    SOLICIT: _speak_of_itself,
    ADVERTISE: _speak_of_itself,
}


def _ip_in(wanted: Filter, ip: Ip) -> Decided | None:
    if ip.protocol == UDP and ip.target_port == (68 if ip.source.version == 4 else 546):
        good = ip.source in wanted.dhcp_servers
        return Decided(rule=DHCP_GOOD, allowed=True) if good else Decided(rule=DHCP_SERVER)
    if ip.protocol == ICMPV6 and ip.source.version == 6 and ip.icmp is not None:
        decided = _heard(wanted, ip, ip.icmp.type)
        if decided is not None:
            return decided
    pretends = wanted.addressing is Addressing.PINNED and within(ip.source, wanted.own)
    return Decided(rule=ADDRESS) if pretends else None


def _heard(wanted: Filter, ip: Ip, kind: int) -> Decided | None:
    if kind in (MLD_QUERY, MLD_REPORT, MLD_DONE, MLD2_REPORT):
        return Decided(rule=MLD, allowed=True)
    if kind in (ADVERTISE_ROUTER, REDIRECT):
        good = ip.source in wanted.routers and ip.hops == 255
        return Decided(rule=ND_GOOD, allowed=True) if good else Decided(rule=RA)
    if kind == SOLICIT_ROUTER:
        good = Service.ROUTER in wanted.serves
        return Decided(rule=ND_GOOD, allowed=True) if good else Decided(rule=RA)
    if kind in (SOLICIT, ADVERTISE):
        return Decided(rule=ND_GOOD, allowed=True) if ip.hops == 255 else Decided(rule=ND_BAD)
    return None
