"""One allow rule, one timed block, one rate: the parts that a Filter is made of."""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from yamori.model.errors import Invalid

Network = IPv4Network | IPv6Network
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
"""Protocol numbers (IANA) that have ports, flags or types which a rule may name."""
MOST_PEERS, MOST_PORTS, MOST_TYPES = 1024, 64, 32
"""How many prefixes, port ranges and ICMP types one rule may name."""
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MOST_RATE = 10_000_000


class Direction(StrEnum):
    """Which way a packet goes, or a connection is opened, seen from the VM."""

    IN = "in"
    """Towards the VM."""
    OUT = "out"
    """From the VM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole numbers from ``low`` to ``high``, both included: ports, or a TTL. Raises Invalid when it is empty."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 65535:
            raise Invalid(f"{self.low}-{self.high} is no range of ports")

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Connections that may be opened, one way: who opens them is decided by ``direction``.

    ``peers``: the other side's prefixes; empty is anybody, over IPv4 and IPv6. ``protocol``: its number, None for
    all. ``ports``: of the side that is called; ``client_ports``: of the side that calls; empty is any, TCP and UDP
    only. ``types``: ICMP types; empty is any. The answers are let through by ``Filter.replies``, not by a rule.
    Raises Invalid.
    """

    id: str
    direction: Direction
    peers: tuple[Network, ...] = ()
    protocol: int | None = None
    ports: tuple[Span, ...] = ()
    client_ports: tuple[Span, ...] = ()
    types: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id)
        _check_shape(self.id, self.protocol, self.peers, (*self.ports, *self.client_ports))
        if max(len(self.ports), len(self.client_ports)) > MOST_PORTS:
            raise Invalid(f"more than {MOST_PORTS} ranges of ports", subject=self.id)
        if self.types and self.protocol not in (ICMP, ICMPV6):
            raise Invalid("types belong to ICMP and ICMPv6 only", subject=self.id)
        if len(self.types) > MOST_TYPES or any(not 0 <= each <= 255 for each in self.types):
            raise Invalid(f"types are up to {MOST_TYPES} numbers from 0 to 255", subject=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """TCP flags: of those in ``mask`` exactly those in ``value`` are set. Bits as in RFC 9293, 3.1."""

    mask: int
    value: int

    def __post_init__(self) -> None:
        if not 0 < self.mask <= 255 or self.value & ~self.mask:
            raise Invalid("flags must be among those that the mask names")


FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
OPENING = Flags(mask=SYN | ACK, value=SYN)
"""The first segment of a TCP connection, and the only one that can open one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Packets that are dropped whatever else is allowed, until a moment: the signature of an attack.

    All that is named must fit. ``peers``: the other side's prefixes. ``source_ports`` and ``ports`` are those of
    the packet itself. ``hops``: TTL or hop limit as it arrives here. Raises Invalid.
    """

    id: str
    direction: Direction
    until: datetime
    peers: tuple[Network, ...] = ()
    protocol: int | None = None
    source_ports: tuple[Span, ...] = ()
    ports: tuple[Span, ...] = ()
    flags: Flags | None = None
    hops: Span | None = None

    def __post_init__(self) -> None:
        check_id(self.id)
        _check_shape(self.id, self.protocol, self.peers, (*self.ports, *self.source_ports))
        if max(len(self.ports), len(self.source_ports)) > MOST_PORTS:
            raise Invalid(f"more than {MOST_PORTS} ranges of ports", subject=self.id)
        if self.until.tzinfo is None:
            raise Invalid("the end of a block needs a time zone", subject=self.id)
        if self.flags is not None and self.protocol != TCP:
            raise Invalid("flags belong to TCP only", subject=self.id)
        if self.hops is not None and self.hops.high > 255:
            raise Invalid("a TTL is at most 255", subject=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most so many a second, after a first ``burst``: a token bucket that begins full. Raises Invalid."""

    per_second: int
    burst: int

    def __post_init__(self) -> None:
        for value in (self.per_second, self.burst):
            if not (math.isfinite(value) and 1 <= value <= _MOST_RATE):
                raise Invalid(f"a rate and its burst are from 1 to {_MOST_RATE}")


def check_id(untrusted_id: str) -> None:
    """Raise Invalid unless this is a rule's id: it is shown, and kept in the kernel beside the rule."""
    if _ID.fullmatch(untrusted_id) is None:
        raise Invalid("a rule's id is up to 64 of a-z 0-9 . _ - and begins with a letter or digit")


def _check_shape(subject: str, protocol: int | None, peers: tuple[Network, ...], spans: tuple[Span, ...]) -> None:
    if protocol is not None and not 0 <= protocol <= 255:
        raise Invalid("a protocol is a number from 0 to 255", subject=subject)
    if spans and protocol not in (TCP, UDP):
        raise Invalid("ports belong to TCP and UDP only", subject=subject)
    if len(peers) > MOST_PEERS:
        raise Invalid(f"more than {MOST_PEERS} prefixes", subject=subject)
    family = {ICMP: 4, ICMPV6: 6}.get(protocol if protocol is not None else -1)
    if family is not None and any(peer.version != family for peer in peers):
        raise Invalid(f"this protocol is spoken over IPv{family} only", subject=subject)
