"""A port's identity as rules of the kernel. What it means is in yamori/model/identity.py, in the same order."""

import struct

from yamori.agent.filter import expressions as x
from yamori.agent.filter.expressions import At, Is, Key
from yamori.agent.filter.line import (
    ANYTHING,
    Choice,
    Line,
    Shared,
    Test,
    addresses,
    back,
    between,
    bits,
    is_,
    is_not,
    lines,
    networks,
    no_network,
    protocol,
)
from yamori.model import identity as means
from yamori.model.filter import Addressing, Filter, Service
from yamori.model.filter_rule import ICMPV6, UDP, Direction
from yamori.model.packet import ARP, IPV4, IPV6, RARP

SOURCE = {4: 12, 6: 8}
TARGET = {4: 16, 6: 24}
"""Where addresses stand in a header of IPv4 (RFC 791) and IPv6 (RFC 8200)."""
_NOWHERE = {4: bytes(4), 6: bytes(16)}
_CHADDR = 8 + 28
"""Offset of chaddr from the UDP header (RFC 2131, 2)."""
_ALONE, _WITH_OPTION = 24, 32
"""Payload lengths of a neighbour solicitation or advertisement without options, and with one of eight bytes."""


def mine(wanted: Filter, base: At, offset: int, shared: Shared, version: int) -> Choice:
    """Test that an address is one that the VM may call its own."""
    if wanted.addressing is Addressing.PINNED:
        return networks(base, offset, wanted.own, shared, version)
    test = no_network(base, offset, wanted.reserved, shared, version)
    return () if test is None else (test,)


def not_mine(wanted: Filter, base: At, offset: int, shared: Shared, version: int) -> Choice:
    """Test that an address is none that the VM may call its own."""
    if wanted.addressing is Addressing.ANY:
        return networks(base, offset, wanted.reserved, shared, version)
    test = no_network(base, offset, wanted.own, shared, version)
    return () if test is None else (test,)


def local_group() -> list[Line]:
    """Drop what a bridge would take itself: from some of it (LLDP) it learns without asking any of its hooks."""
    group = bits(At.LINK, 0, bytes.fromhex("fffffffffff0"), means.BRIDGE_GROUP + b"\0")
    return lines(means.LOCAL_GROUP, (group,))


def first_fragment() -> Test:
    """The packet is the first of fragments over IPv6."""
    return x.fragment_header(), x.mask(b"\xff\xf8"), x.compare(Is.EQUAL, bytes(2))


def heads(wanted: Filter, way: Direction, shared: Shared) -> list[Line]:
    """Decide ICMPv6 messages that identity decides, and first fragments that do not show where theirs begins.

    A rule cannot ask for what is not there: it goes back if it is there, and the next one drops.
    """
    shown = x.load(At.TRANSPORT, 0, 4)
    other: Test = (x.about(Key.PROTOCOL), x.compare(Is.OTHER, bytes([ICMPV6])), shown)
    headless = lines(means.HEADLESS, (first_fragment(),))
    return [back(other), *messages(wanted, way, shared), back((shown,)), *headless]


def outside_ip(wanted: Filter, way: Direction, shared: Shared) -> list[Line]:
    """Decide by MAC, and all that is not IP."""
    kind = x.load(At.LINK, 12, 2)
    not_ip: Test = (
        kind,
        x.compare(Is.OTHER, IPV4.to_bytes(2, "big")),
        x.compare(Is.OTHER, IPV6.to_bytes(2, "big")),
    )
    arp = is_(At.LINK, 12, ARP.to_bytes(2, "big"))
    if way is Direction.IN:
        single = bits(At.LINK, 0, b"\x01", b"\x00")
        return [
            *lines(means.MAC, ((*is_not(At.LINK, 0, wanted.hardware), *single),)),
            *lines(means.ARP_GOOD, (arp,), (_arp(1), _arp(2)), allow=True),
            *lines(means.ARP_BAD, (arp,)),
            *lines(means.KIND, (not_ip,)),
        ]
    rarp = is_(At.LINK, 12, RARP.to_bytes(2, "big"))
    self_named = is_(At.NETWORK, 8, wanted.hardware)
    nameless = is_(At.NETWORK, 14, bytes(4))
    own = mine(wanted, At.NETWORK, 14, shared, 4)
    return [
        *lines(means.MAC, (is_not(At.LINK, 6, wanted.hardware),)),
        *lines(means.ARP_BAD, ((*arp, *_arp(2), *nameless),)),
        *lines(means.ARP_GOOD, ((*arp, *_arp(1), *self_named, *nameless),), allow=True),
        *lines(means.ARP_GOOD, (arp,), (_arp(1), _arp(2)), (self_named,), own, allow=True),
        *lines(means.ARP_BAD, (arp,)),
        *lines(
            means.ANNOUNCE, ((*rarp, *_arp(3), *self_named, *is_(At.NETWORK, 18, wanted.hardware)),), allow=True
        ),
        *lines(means.ARP_BAD, (rarp,)),
        *lines(means.KIND, (not_ip,)),
    ]


def _arp(operation: int) -> Test:
    """The message maps IPv4 to Ethernet, and is of this operation (RFC 826)."""
    return is_(At.NETWORK, 0, struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation))


def identity(wanted: Filter, way: Direction, version: int, shared: Shared) -> list[Line]:
    """Decide DHCP, and whose address an IP packet bears."""
    udp = protocol(UDP)
    client, server = (68, 67) if version == 4 else (546, 547)
    to_client = (*udp, *is_(At.TRANSPORT, 2, struct.pack("!H", client)))
    if way is Direction.IN:
        servers = addresses(At.NETWORK, SOURCE[version], wanted.dhcp_servers, version)
        found = [
            *lines(means.DHCP_GOOD, (to_client,), servers, allow=True),
            *lines(means.DHCP_SERVER, (to_client,)),
        ]
        if wanted.addressing is Addressing.PINNED:
            found += lines(means.ADDRESS, networks(At.NETWORK, SOURCE[version], wanted.own, shared, version))
        return found
    asking = (*udp, *is_(At.TRANSPORT, 0, struct.pack("!HH", client, server)))
    found = [*_asking(wanted, version, asking, shared), *lines(means.DHCP_BAD, (asking,))]
    if Service.DHCP not in wanted.serves:
        found += lines(means.DHCP_SERVER, (to_client,))
    return [*found, *lines(means.ADDRESS, not_mine(wanted, At.NETWORK, SOURCE[version], shared, version))]


def _asking(wanted: Filter, version: int, asking: Test, shared: Shared) -> list[Line]:
    servers = addresses(At.NETWORK, TARGET[version], wanted.dhcp_servers, version)
    if not servers:
        return []
    own = mine(wanted, At.NETWORK, SOURCE[version], shared, version)
    everybody = means.BROADCAST if version == 4 else means.EVERY_DHCP6
    to: Choice = (is_(At.NETWORK, TARGET[version], everybody.packed), *servers)
    if version == 4:
        own = (is_(At.NETWORK, SOURCE[4], _NOWHERE[4]), *own)
        asking = (*asking, *is_(At.TRANSPORT, _CHADDR, wanted.hardware))
    return lines(means.DHCP_GOOD, (asking,), own, to, allow=True)


def messages(wanted: Filter, way: Direction, shared: Shared) -> list[Line]:
    """Decide neighbour discovery, router advertisements and multicast membership among ICMPv6 messages."""
    report: Choice = tuple(_type(t) for t in (means.MLD_REPORT, means.MLD_DONE, means.MLD2_REPORT))
    router: Choice = (_type(means.ADVERTISE_ROUTER), _type(means.REDIRECT))
    whole = is_(At.NETWORK, 7, b"\xff")
    pair = between(At.TRANSPORT, 0, bytes([means.SOLICIT]), bytes([means.ADVERTISE]))
    if way is Direction.IN:
        known = addresses(At.NETWORK, SOURCE[6], wanted.routers, 6)
        serves = Service.ROUTER in wanted.serves
        return [
            *lines(means.MLD, (_type(means.MLD_QUERY), *report), allow=True),
            *lines(means.ND_GOOD, router, (whole,), known, allow=True),
            *lines(means.RA, router),
            *lines(means.ND_GOOD if serves else means.RA, (_type(means.SOLICIT_ROUTER),), allow=serves),
            *lines(means.ND_GOOD, ((*pair, *whole),), allow=True),
            *lines(means.ND_BAD, (pair,)),
        ]
    own = mine(wanted, At.NETWORK, SOURCE[6], shared, 6)
    nowhere = is_(At.NETWORK, SOURCE[6], _NOWHERE[6])
    found = [
        *lines(means.MLD, (_type(means.MLD_QUERY),)),
        *lines(means.MLD, report, (nowhere, *own), allow=True),
        *lines(means.MLD, report),
        *lines(means.ND_GOOD, (_type(means.SOLICIT_ROUTER),), (nowhere, *own), allow=True),
        *lines(means.ND_BAD, (_type(means.SOLICIT_ROUTER),)),
    ]
    if Service.ROUTER in wanted.serves:
        found += lines(means.ND_GOOD, router, own, allow=True)
    return [*found, *lines(means.RA, router), *_of_itself(wanted, pair, nowhere, shared)]


def _of_itself(wanted: Filter, pair: Test, nowhere: Test, shared: Shared) -> list[Line]:
    """Drop what a VM must not say of itself, then let the rest of its solicitations and advertisements pass.

    Each load is of bytes that the tests before it have shown to be there: a load that fails would skip its rule.
    """
    claimed = not_mine(wanted, At.TRANSPORT, 8, shared, 6)
    foreign = not_mine(wanted, At.NETWORK, SOURCE[6], shared, 6)
    length = x.load(At.NETWORK, 4, 2)
    lengths = tuple(struct.pack("!H", each) for each in (_ALONE, _WITH_OPTION))
    option: list[x.Expression] = [length, x.compare(Is.EQUAL, lengths[1]), x.load(At.TRANSPORT, 24, 8)]
    option += [x.compare(Is.OTHER, bytes([kind, 1]) + wanted.hardware) for kind in (1, 2)]
    option += [x.load(At.TRANSPORT, 24, 2), x.compare(Is.OTHER, means.NONCE)]
    solicit, advertise = _type(means.SOLICIT), _type(means.ADVERTISE)
    somewhere = is_not(At.NETWORK, SOURCE[6], _NOWHERE[6])
    bad: list[tuple[Choice, ...]] = [
        ((pair,), (is_not(At.NETWORK, 6, bytes([ICMPV6])), is_not(At.NETWORK, 7, b"\xff"))),
        ((pair,), ((length, *(x.compare(Is.OTHER, each) for each in lengths)), tuple(option))),
        ((advertise,), foreign),
        ((advertise,), claimed),
        (((*solicit, *somewhere),), foreign),
        (((*solicit, *nowhere),), claimed),
    ]
    found = [line for choices in bad for line in lines(means.ND_BAD, *choices)]
    return [*found, *lines(means.ND_GOOD, (pair,), ANYTHING, allow=True)]


def _type(value: int) -> Test:
    return is_(At.TRANSPORT, 0, bytes([value]))
