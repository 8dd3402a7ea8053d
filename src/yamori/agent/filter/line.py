"""One rule of the kernel: what it asks, how it ends, and which id it counts for."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import product

from yamori.agent.filter import expressions as x
from yamori.agent.filter.expressions import ACCEPT, DROP, At, Expression, Is, Key
from yamori.model.filter_rule import Network, Span

Test = tuple[Expression, ...]
"""Expressions that go on only if something is so."""
Choice = tuple[Test, ...]
"""Tests of which one must hold."""
ANYTHING: Choice = ((),)
Shared = dict[str, tuple[tuple[bytes, bytes], ...]]
"""Sets by name, each with its ranges: first and last value."""
_FEW = 4
"""Up to so many alternatives become rules; more become a set."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rule. ``id`` is None for what only leads on to another chain."""

    id: str | None
    steps: tuple[Expression, ...]


def lines(rule: str, *choices: Choice, allow: bool = False) -> list[Line]:
    """Make the rules for: one test of each choice must hold."""
    verdict = x.end(ACCEPT if allow else DROP)
    return [
        Line(id=rule, steps=(*(step for test in chosen for step in test), x.count(), verdict))
        for chosen in product(*choices)
    ]


def lead(test: Test, chain: str, code: int = x.GOTO) -> Line:
    """Make a rule that leads to another chain."""
    return Line(id=None, steps=(*test, x.end(code, chain)))


def back(test: Test) -> Line:
    """Make a rule that goes back to where the chain was entered from."""
    return Line(id=None, steps=(*test, x.end(x.RETURN)))


def is_(base: At, offset: int, value: bytes) -> Test:
    """Bytes of the frame are these."""
    return x.load(base, offset, len(value)), x.compare(Is.EQUAL, value)


def is_not(base: At, offset: int, value: bytes) -> Test:
    """Bytes of the frame are others."""
    return x.load(base, offset, len(value)), x.compare(Is.OTHER, value)


def bits(base: At, offset: int, bits_: bytes, value: bytes, how: Is = Is.EQUAL) -> Test:
    """Some bits of the frame are these, or others."""
    return x.load(base, offset, len(bits_)), x.mask(bits_), x.compare(how, value)


def between(base: At, offset: int, low: bytes, high: bytes) -> Test:
    """A number in the frame is in a range."""
    if low == high:
        return is_(base, offset, low)
    return x.load(base, offset, len(low)), x.compare(Is.AT_LEAST, low), x.compare(Is.AT_MOST, high)


def protocol(value: int) -> Test:
    """The packet carries this protocol, behind whatever extension headers."""
    return x.about(Key.PROTOCOL), x.compare(Is.EQUAL, bytes([value]))


def before(moment: datetime) -> Test:
    """It is not yet that time."""
    ns = max(0, round((moment - _EPOCH).total_seconds() * 1_000_000)) * 1000
    return x.about(Key.TIME), x.to_network_order(8), x.compare(Is.LESS, struct.pack("!Q", ns))


def ports(at: int, spans: tuple[Span, ...], shared: Shared) -> Choice:
    """A port, at 0 the source's or at 2 the target's, is in one of these ranges."""
    if not spans:
        return ANYTHING
    return _one_of(
        At.TRANSPORT, at, [(struct.pack("!H", s.low), struct.pack("!H", s.high)) for s in spans], shared
    )


def numbers(offset: int, values: tuple[int, ...], shared: Shared) -> Choice:
    """A byte of the transport header is one of these."""
    return _one_of(At.TRANSPORT, offset, [(bytes([v]), bytes([v])) for v in values], shared)


def networks(base: At, offset: int, wanted: tuple[Network, ...], shared: Shared, version: int) -> Choice:
    """An address in the frame is in one of these networks; there may be none, then nothing fits."""
    fitting = [each for each in wanted if each.version == version]
    if 0 < len(fitting) <= _FEW:
        return tuple(_in_network(base, offset, each) for each in fitting)
    return _one_of(base, offset, [(n.network_address.packed, n.broadcast_address.packed) for n in fitting], shared)


def no_network(base: At, offset: int, unwanted: tuple[Network, ...], shared: Shared, version: int) -> Test | None:
    """An address in the frame is in none of these networks; None where that cannot be."""
    there = [each for each in unwanted if each.version == version]
    if any(each.prefixlen == 0 for each in there):
        return None
    length = 4 if version == 4 else 16
    if len(there) > _FEW:
        merged = merge([(n.network_address.packed, n.broadcast_address.packed) for n in there])
        name = set_name(merged)
        shared[name] = merged
        return x.load(base, offset, length), x.not_in_set(name)
    steps: list[Expression] = [x.load(base, offset, length)]
    for each in there:
        whole = each.prefixlen == each.max_prefixlen
        steps += [*(() if whole else (x.load(base, offset, length), x.mask(each.netmask.packed)))]
        steps.append(x.compare(Is.OTHER, each.network_address.packed))
        if not whole:
            steps.append(x.load(base, offset, length))
    return tuple(steps)


def addresses(base: At, offset: int, wanted: tuple[IPv4Address | IPv6Address, ...], version: int) -> Choice:
    """An address in the frame is one of these."""
    return tuple(is_(base, offset, each.packed) for each in wanted if each.version == version)


def _in_network(base: At, offset: int, network: IPv4Network | IPv6Network) -> Test:
    if network.prefixlen == network.max_prefixlen:
        return is_(base, offset, network.network_address.packed)
    if network.prefixlen == 0:
        return ()
    return bits(base, offset, network.netmask.packed, network.network_address.packed)


def _one_of(base: At, offset: int, ranges: list[tuple[bytes, bytes]], shared: Shared) -> Choice:
    merged = merge(ranges)
    if len(merged) <= _FEW:
        return tuple(between(base, offset, low, high) for low, high in merged)
    name = set_name(merged)
    shared[name] = merged
    return ((x.load(base, offset, len(merged[0][0])), x.in_set(name)),)


def merge(ranges: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Put ranges in order, and those that touch together."""
    found: list[tuple[bytes, bytes]] = []
    for low, high in sorted(ranges):
        if found and int.from_bytes(low, "big") <= int.from_bytes(found[-1][1], "big") + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def set_name(ranges: tuple[tuple[bytes, bytes], ...]) -> str:
    """Name a set by what is in it: the same peers of many ports are one set, and a set never changes."""
    digest = sha256(b"".join(low + high for low, high in ranges)).hexdigest()
    return f"s{len(ranges[0][0])}-{digest[:24]}"
