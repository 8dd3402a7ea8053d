"""What may pass one network card of one VM, as one value. What it does not allow is dropped."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from yamori.model.errors import Invalid
from yamori.model.filter_rule import Block, Direction, Network, Rate, Rule

MOST_RULES, MOST_BLOCKS, MOST_ADDRESSES, MOST_SERVERS = 256, 64, 64, 16
"""How many of each one Filter may have."""
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Addressing(StrEnum):
    """What is done with a packet that bears an address which the inventory does not know as the VM's."""

    PINNED = "pinned"
    """It is dropped; so is ARP and neighbour discovery that claims one."""
    ANY = "any"
    """It passes unless the address is reserved. The MAC alone is the identity: ARP and ND prove little then."""


class Replies(StrEnum):
    """What becomes of the answers to a connection that a rule allowed to be opened."""

    NONE = "none"
    """Each way is allowed by rules of its own only."""
    PASS = "pass"  # noqa: S105 -- a verb
    """They pass: proven by connection tracking where the host has it, else by their form alone."""
    PROVEN = "proven"
    """They pass where connection tracking proves them. A host without it refuses the Filter."""


class Failure(StrEnum):
    """What holds where the Filter cannot be carried out."""

    CLOSED = "closed"
    """Nothing passes but ARP, neighbour discovery, and DHCP."""
    OPEN = "open"
    """Everything passes that bears the VM's own identity."""


class Service(StrEnum):
    """What only a VM that is there for it may speak."""

    DHCP = "dhcp"
    """Answers as a DHCP or DHCPv6 server; still needs a rule that allows them."""
    ROUTER = "router"
    """Router advertisements and redirects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Bounds on how often, one bucket each; None is unbounded.

    ``packets_*``: all packets of this card. ``connections_*``: opening TCP segments (SYN without ACK), which is
    the same with and without connection tracking. ``peer_*``: those for each address of the other side alone;
    up to 65,535 of them are told apart, further ones are held by the other rates only.
    """

    packets_in: Rate | None = None
    packets_out: Rate | None = None
    connections_in: Rate | None = None
    connections_out: Rate | None = None
    peer_in: Rate | None = None
    peer_out: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All that holds at one port. Raises Invalid when it contradicts itself.

    Identity: ``mac`` and ``addresses`` are the VM's own; the link-local address that follows from the MAC
    (EUI-64, RFC 4291 appendix A) always is. ``reserved`` are never the VM's, whatever ``addressing`` says: say
    gateways. ``dhcp_servers`` may answer it, none means no DHCP; ``routers`` may advertise themselves, and are
    named by link-local address.

    ``isolation``: not None cuts the VM off from all but these management peers, who may open connections to it
    while it may only answer; ``rules`` do not count then. ``errors``: ICMP errors about the VM's own packets pass.
    ``fragments``: later fragments of anything but TCP pass when a rule fits without looking at ports.
    """

    port: str
    mac: str
    addresses: tuple[Network, ...] = ()
    addressing: Addressing = Addressing.PINNED
    reserved: tuple[Network, ...] = ()
    dhcp_servers: tuple[IPv4Address | IPv6Address, ...] = ()
    routers: tuple[IPv6Address, ...] = ()
    serves: frozenset[Service] = frozenset()
    rules: tuple[Rule, ...] = ()
    blocks: tuple[Block, ...] = ()
    rates: Rates = field(default_factory=Rates)
    isolation: tuple[Network, ...] | None = None
    replies: Replies = Replies.PASS
    errors: bool = True
    fragments: bool = False
    failure: Failure = Failure.CLOSED

    def __post_init__(self) -> None:
        if _PORT.fullmatch(self.port) is None:
            raise Invalid("a port's id is up to 128 of letters, digits and _ . : / -")
        if _MAC.fullmatch(self.mac) is None or int(self.mac[:2], 16) & 1:
            raise Invalid("a MAC is six pairs of lower-case hex digits, and no group address", subject=self.port)
        bounds = (
            ("rules", len(self.rules), MOST_RULES),
            ("blocks", len(self.blocks), MOST_BLOCKS),
            ("addresses", len(self.addresses), MOST_ADDRESSES),
            ("reserved addresses", len(self.reserved), MOST_ADDRESSES),
            ("management peers", len(self.isolation or ()), MOST_ADDRESSES),
            ("DHCP servers", len(self.dhcp_servers), MOST_SERVERS),
            ("routers", len(self.routers), MOST_SERVERS),
        )
        for what, there, most in bounds:
            if there > most:
                raise Invalid(f"{there} {what}; {most} is the most", subject=self.port)
        ids = [*(rule.id for rule in self.rules), *(block.id for block in self.blocks)]
        if len(set(ids)) != len(ids):
            raise Invalid("two rules have the same id", subject=self.port)
        if any(not router.is_link_local for router in self.routers):
            raise Invalid("a router is named by its link-local address (RFC 4861, 4.2)", subject=self.port)
        if self.addressing is Addressing.PINNED and any(
            ours.version == theirs.version and ours.overlaps(theirs)
            for ours in self.addresses
            for theirs in self.reserved
        ):
            raise Invalid("a reserved address cannot be the VM's own", subject=self.port)

    @property
    def hardware(self) -> bytes:
        """The MAC as it stands in a frame."""
        return bytes.fromhex(self.mac.replace(":", ""))

    @property
    def own(self) -> tuple[Network, ...]:
        """The VM's addresses, with the link-local one that follows from its MAC."""
        return (*self.addresses, IPv6Network((link_local(self.hardware), 128)))

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules that count: those of the isolation, if there is one."""
        if self.isolation is None:
            return self.rules
        if not self.isolation:
            return ()
        return (Rule(id="isolation", direction=Direction.IN, peers=self.isolation),)


def link_local(hardware: bytes) -> IPv6Address:
    """Return the link-local address that follows from a MAC (RFC 4291, appendix A)."""
    middle = bytes([hardware[0] ^ 2]) + hardware[1:3] + b"\xff\xfe" + hardware[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + middle)


def fallback(wanted: Filter) -> Filter:
    """Return what holds where a Filter cannot be carried out: identity, and nothing or everything beside it."""
    bare = replace(wanted, rules=(), blocks=(), rates=Rates(), isolation=None, replies=Replies.NONE, errors=False)
    if wanted.failure is Failure.CLOSED or wanted.isolation is not None:
        return replace(bare, fragments=False)
    everything = tuple(Rule(id=f"open-{way}", direction=way) for way in Direction)
    return replace(bare, rules=everything, fragments=True)
