"""One Ethernet frame at a VM's card, as far as a Filter looks at it. What it was parsed from is hostile."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from yamori.model.filter_rule import Direction

Address = IPv4Address | IPv6Address
IPV4, ARP, RARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8035, 0x8100, 0x86DD
"""EtherTypes (IANA) that a Filter tells apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arp:
    """An ARP or RARP message (RFC 826, RFC 903); ``ethernet`` says whether it maps IPv4 to Ethernet."""

    operation: int
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address
    ethernet: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The packet that an ICMP error is about, as the error quotes it."""

    source: Address
    target: Address
    protocol: int
    source_port: int
    target_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Icmp:
    """An ICMP or ICMPv6 message. ``claimed`` and ``options`` belong to neighbour discovery (RFC 4861, 4)."""

    type: int
    code: int = 0
    identity: int = 0
    quote: Quote | None = None
    claimed: IPv6Address | None = None
    options: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ip:
    """An IP packet, or a fragment. A later fragment (``offset`` > 0) shows neither ports nor a message.

    ``headless``: a first fragment whose headers go on in the next one (IPv6; RFC 7112 forbids it).
    ``hops`` is TTL or hop limit. ``extended``: an extension header stands between (IPv6). ``client`` is the
    hardware address inside a DHCP message (chaddr, RFC 2131).
    """

    source: Address
    target: Address
    protocol: int
    hops: int = 64
    offset: int = 0
    headless: bool = False
    extended: bool = False
    source_port: int | None = None
    target_port: int | None = None
    flags: int = 0
    icmp: Icmp | None = None
    client: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One frame. ``kind`` is the EtherType as it stands in the frame, so that a VLAN tag is a kind of its own."""

    direction: Direction
    source_mac: bytes
    target_mac: bytes
    kind: int
    body: Arp | Ip | None = None
