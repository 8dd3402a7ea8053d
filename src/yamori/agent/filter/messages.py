"""Objects of the packet filter as netlink bodies, and back."""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from yamori.agent import netlink
from yamori.agent.filter import expressions as x
from yamori.agent.filter import wire
from yamori.agent.filter.expressions import Expression
from yamori.agent.filter.line import Line

Ranges = tuple[tuple[bytes, bytes], ...]
INTERVAL, CONSTANT, MAP, TIMEOUT, EVALUATED = 0x4, 0x2, 0x8, 0x10, 0x20
INGRESS, EGRESS = 0, 1
"""Hooks at an interface: what comes in at it (from the guest), what leaves by it (to the guest)."""
_RANGE_END = 1
_OWNER, _PERSIST = 0x2, 0x4
"""NFT_TABLE_F_OWNER (Linux 5.12), NFT_TABLE_F_PERSIST (6.9)."""
_HOST_ORDER = b"\x00\x04" + (1).to_bytes(4, sys.byteorder)
"""A remark for `nft list`: names of interfaces are not numbers that were turned round."""
_NAME_LENGTH = 16
_TYPES = {1: 12, 2: 13, 4: 7, 16: 8}
"""How `nft list` shows a key of so many bytes: protocol, port, IPv4, IPv6."""
_INTERFACE_TYPE, _INDEX_TYPE, _VERDICT_TYPE = 41, 20, 0xFFFF_FF00
_AT_ONCE = 400
"""Elements in one message: a list is at most 64 KiB long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Where a chain begins by itself; ``device`` in the netdev family only."""

    number: int
    priority: int
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRule:
    """A rule as the kernel tells it: its id, its steps without the count, and what it has counted."""

    table: str
    chain: str
    id: str | None
    steps: tuple[Expression, ...]
    packets: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldEntry:
    """An element of a verdict map as the kernel tells it: where it leads to, and our remark."""

    key: bytes
    to: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldChain:
    """A chain as the kernel tells it. ``policy`` None: it is no base chain."""

    table: str
    name: str
    hook: Hook | None
    policy: int | None


def is_shared(name: str) -> bool:
    """Say whether this is the name of a set of ranges, which is named by its content."""
    return name.startswith("s") and "-" in name


def table(name: str, *, owned: bool = False) -> bytes:
    """Name a table; ``owned``: while our socket is open nobody else may change it, and it outlives the socket."""
    return wire.word(1, name) + (wire.number(2, _OWNER | _PERSIST) if owned else b"")


def chain(of: str, name: str, hook: Hook | None = None) -> bytes:
    """Describe a chain; with a hook, one that packets enter by themselves, and which lets pass by default."""
    body = wire.word(1, of) + wire.word(3, name)
    if hook is None:
        return body
    where = wire.number(1, hook.number) + wire.number(2, hook.priority)
    if hook.device is not None:
        where += wire.word(3, hook.device)
    return body + netlink.attribute(4, where) + wire.number(5, x.ACCEPT) + wire.word(7, "filter")


def rule(of: str, name: str, line: Line, counted: tuple[int, int] = (0, 0)) -> bytes:
    """Describe a rule, its counter going on from (packets, bytes)."""
    steps = [x.count(*counted) if step.name == "counter" else step for step in line.steps]
    body = wire.word(1, of) + wire.word(2, name)
    body += netlink.attribute(4, b"".join(step.packed for step in steps))
    if line.id is not None:
        remark = line.id.encode("ascii") + b"\0"
        body += netlink.attribute(7, bytes([0, len(remark)]) + remark)
    return body


def rules_of(of: str, name: str) -> bytes:
    """Name all rules of a chain."""
    return wire.word(1, of) + wire.word(2, name)


def set_of(of: str, name: str) -> bytes:
    """Name a set."""
    return wire.word(1, of) + wire.word(2, name)


def ranges_set(of: str, name: str, ranges: Ranges, identity: int) -> bytes:
    """Describe a set of ranges that cannot be changed once it is used."""
    length = len(ranges[0][0])
    body = set_of(of, name) + wire.number(3, INTERVAL | CONSTANT) + wire.number(4, _TYPES[length])
    return body + wire.number(5, length) + wire.number(10, identity)


def verdict_map(of: str, name: str, identity: int, *, by_index: bool = False) -> bytes:
    """Describe a map from interfaces' names, or numbers, to verdicts."""
    kind, length = (_INDEX_TYPE, 4) if by_index else (_INTERFACE_TYPE, _NAME_LENGTH)
    body = set_of(of, name) + wire.number(3, MAP) + wire.number(4, kind)
    body += wire.number(5, length) + wire.number(6, _VERDICT_TYPE)
    return body + wire.number(10, identity) + netlink.attribute(13, _HOST_ORDER)


def meter(of: str, name: str, length: int, size: int, identity: int) -> bytes:
    """Describe a set that rules fill, one counted rate for each element."""
    body = set_of(of, name) + wire.number(3, EVALUATED | TIMEOUT) + wire.number(4, _TYPES[length])
    return body + wire.number(5, length) + netlink.attribute(9, wire.number(1, size)) + wire.number(10, identity)


def range_elements(of: str, name: str, ranges: Ranges) -> Iterator[bytes]:
    """Describe what is in a set of ranges."""
    found: list[bytes] = []
    for low, high in ranges:
        found.append(_element(low, b""))
        following = int.from_bytes(high, "big") + 1
        if following < 1 << (8 * len(high)):
            found.append(_element(following.to_bytes(len(high), "big"), wire.number(3, _RANGE_END)))
    for start in range(0, len(found), _AT_ONCE):
        yield _elements(of, name, found[start : start + _AT_ONCE])


def entry(of: str, name: str, key: bytes, to: str | None = None, remark: str = "") -> bytes:
    """Describe, or with no chain only name, an element of a verdict map."""
    more = b""
    if to is not None:
        verdict = netlink.attribute(1, struct.pack("!i", x.GOTO)) + wire.word(2, to)
        more = netlink.attribute(2, netlink.attribute(2, verdict))
        if remark:
            more += netlink.attribute(6, bytes([0, len(remark) + 1]) + remark.encode("ascii") + b"\0")
    return _elements(of, name, [_element(key, more)])


def interface_key(interface: str) -> bytes:
    """Return an interface's name as the kernel compares it."""
    return interface.encode("ascii").ljust(_NAME_LENGTH, b"\0")


def index_key(index: int) -> bytes:
    """Return an interface's number as the kernel compares it."""
    return index.to_bytes(4, sys.byteorder)


def _element(key: bytes, more: bytes) -> bytes:
    return netlink.attribute(1, netlink.attribute(1, netlink.attribute(1, key)) + more)


def _elements(of: str, name: str, elements: list[bytes]) -> bytes:
    return set_of(of, name) + netlink.attribute(3, b"".join(elements))


def read_rule(body: bytes) -> ToldRule:
    """Decode a rule."""
    told = netlink.fields(body)
    steps = x.read(told.get(4, b""))
    packets = octets = 0
    for step in steps:
        if step.name == "counter":
            octets, packets = (int.from_bytes(step.parts.get(k, b""), "big") for k in (1, 2))
    named = _remark(told.get(7, b""))
    return ToldRule(
        table=netlink.text(told.get(1, b"")),
        chain=netlink.text(told.get(2, b"")),
        id=named,
        steps=tuple(step for step in steps if step.name != "counter"),
        packets=packets,
        octets=octets,
    )


def read_chain(body: bytes) -> ToldChain:
    """Decode a chain."""
    told = netlink.fields(body)
    hook = None
    if 4 in told:
        where = netlink.fields(told[4])
        number, priority = struct.unpack("!I", where[1])[0], struct.unpack("!i", where[2])[0]
        devices = [each for _, each in netlink.attributes(where.get(4, b""))] or [where.get(3, b"")]
        device = netlink.text(devices[0]) or None
        hook = Hook(number=number, priority=priority, device=device)
    return ToldChain(
        table=netlink.text(told.get(1, b"")),
        name=netlink.text(told.get(3, b"")),
        hook=hook,
        policy=struct.unpack("!I", told[5])[0] if 5 in told else None,
    )


def _remark(untrusted: bytes) -> str | None:
    """Decode a comment; anybody may have written it."""
    if len(untrusted) < 2 or untrusted[0] != 0:
        return None
    return untrusted[2 : 2 + untrusted[1]].rstrip(b"\0").decode("utf-8", "replace")


def read_entries(body: bytes) -> Iterator[ToldEntry]:
    """Decode elements of a verdict map."""
    for _, element in netlink.attributes(netlink.fields(body).get(3, b"")):
        told = netlink.fields(element)
        verdict = netlink.fields(netlink.fields(told.get(2, b"")).get(2, b""))
        yield ToldEntry(
            key=netlink.fields(told.get(1, b"")).get(1, b""),
            to=netlink.text(verdict.get(2, b"")),
            remark=_remark(told.get(6, b"")) or "",
        )


def read_elements(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Decode elements of a set: the key, and whether it ends a range."""
    for _, element in netlink.attributes(netlink.fields(body).get(3, b"")):
        told = netlink.fields(element)
        key = netlink.fields(told.get(1, b"")).get(1, b"")
        ends = int.from_bytes(told.get(3, b""), "big") & _RANGE_END
        yield key, bool(ends)


def read_ranges(bodies: list[bytes]) -> Ranges:
    """Put the elements of a set of ranges together again."""
    marks = sorted((key, ends) for body in bodies for key, ends in read_elements(body))
    found: list[tuple[bytes, bytes]] = []
    start: bytes | None = None
    for key, ends in marks:
        if not ends:
            start = key
        elif start is not None:
            found.append((start, (int.from_bytes(key, "big") - 1).to_bytes(len(key), "big")))
            start = None
    if start is not None:
        found.append((start, b"\xff" * len(start)))
    return tuple(found)
