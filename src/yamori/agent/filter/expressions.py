"""The kernel's small machine for rules: loads, comparisons, verdicts, as values that can be sent and compared.

Each is encoded with all attributes that the kernel tells when it is read back, so that equal means the same.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType

from yamori.agent import netlink
from yamori.agent.filter import wire

_REGISTER = struct.pack("!I", 1)
"""NFT_REG_1: one value at a time is enough."""


class At(IntEnum):
    """Where in a frame an offset counts from (enum nft_payload_bases)."""

    LINK = 0
    NETWORK = 1
    TRANSPORT = 2


class Is(IntEnum):
    """How two values compare (enum nft_cmp_ops)."""

    EQUAL = 0
    OTHER = 1
    LESS = 2
    AT_MOST = 3
    MORE = 4
    AT_LEAST = 5


class Key(IntEnum):
    """What is known about a packet beside its bytes (enum nft_meta_keys)."""

    MARK = 3
    OUT_INDEX = 5
    IN_NAME = 6
    OUT_NAME = 7
    PROTOCOL = 16
    TIME = 30


_kept = lru_cache(maxsize=1 << 14)
"""Ports have most of their expressions in common: made and encoded once."""
ACCEPT, DROP = 1, 0
JUMP, GOTO, RETURN = -3, -4, -5


@dataclass(frozen=True, slots=True)
class Expression:
    """One step of a rule: its name, and its attributes by their kinds."""

    name: str
    parts: Mapping[int, bytes]
    packed: bytes = field(default=b"", compare=False, repr=False)
    """As an element of a rule; empty in what was read back."""


def _make(name: str, parts: Mapping[int, bytes]) -> Expression:
    content = b"".join(netlink.attribute(kind, part) for kind, part in parts.items())
    packed = netlink.attribute(1, wire.word(1, name) + netlink.attribute(2, content))
    return Expression(name, MappingProxyType(dict(parts)), packed)


def _n(value: int) -> bytes:
    return struct.pack("!I", value & 0xFFFF_FFFF)


@_kept
def load(base: At, offset: int, length: int) -> Expression:
    """Load bytes of the frame."""
    return _make("payload", {1: _REGISTER, 2: _n(base), 3: _n(offset), 4: _n(length)})


@_kept
def about(key: Key) -> Expression:
    """Load what is known about the packet."""
    return _make("meta", {1: _REGISTER, 2: _n(key)})


@_kept
def set_mark() -> Expression:
    """Make the loaded value the packet's mark."""
    return _make("meta", {3: _REGISTER, 2: _n(Key.MARK)})


@_kept
def tracked(key: int) -> Expression:
    """Load what connection tracking knows: 0 the state, 1 the direction (enum nft_ct_keys)."""
    return _make("ct", {1: _REGISTER, 2: _n(key)})


@_kept
def fragment_header() -> Expression:
    """Load the offset field of IPv6's fragment header (RFC 8200, 4.5)."""
    return _make("exthdr", {1: _REGISTER, 2: b"\x2c", 3: _n(2), 4: _n(2), 5: _n(0), 6: _n(0)})


@_kept
def compare(how: Is, value: bytes) -> Expression:
    """Go on only if the loaded value compares so."""
    return _make("cmp", {1: _REGISTER, 2: _n(how), 3: netlink.attribute(1, value)})


@_kept
def mask(bits: bytes, flip: bytes | None = None) -> Expression:
    """Keep these bits of the loaded value, then flip those."""
    xor = bytes(len(bits)) if flip is None else flip
    parts = {1: _REGISTER, 2: _REGISTER, 3: _n(len(bits)), 6: _n(0)}
    return _make("bitwise", parts | {4: netlink.attribute(1, bits), 5: netlink.attribute(1, xor)})


@_kept
def to_network_order(length: int) -> Expression:
    """Turn the loaded number round, so that it can be compared by size."""
    return _make("byteorder", {1: _REGISTER, 2: _REGISTER, 3: _n(1), 4: _n(length), 5: _n(length)})


@_kept
def in_set(name: str) -> Expression:
    """Go on only if the loaded value is in a set."""
    return _make("lookup", {1: name.encode() + b"\0", 2: _REGISTER, 5: _n(0)})


@_kept
def not_in_set(name: str) -> Expression:
    """Go on only if the loaded value is not in a set."""
    return _make("lookup", {1: name.encode() + b"\0", 2: _REGISTER, 5: _n(1)})


@_kept
def by_map(name: str) -> Expression:
    """Do what a map says about the loaded value; go on if it says nothing."""
    return _make("lookup", {1: name.encode() + b"\0", 2: _REGISTER, 3: _n(0), 5: _n(0)})


@_kept
def over(per_second: int, burst: int) -> Expression:
    """Go on only when there are more packets than that."""
    return _make("limit", _limit(per_second, burst))


def over_each(meter: str, per_second: int, burst: int, forget_ms: int) -> Expression:
    """Go on only when there are more packets than that with the loaded value, counted in a set."""
    limit = b"".join(netlink.attribute(kind, part) for kind, part in _limit(per_second, burst).items())
    counted = wire.word(1, "limit") + netlink.attribute(2, limit)
    parts = {1: meter.encode() + b"\0", 3: _n(1), 4: _REGISTER, 6: struct.pack("!Q", forget_ms)}
    return _make("dynset", parts | {7: counted, 9: _n(0)})


def _limit(per_second: int, burst: int) -> dict[int, bytes]:
    return {1: struct.pack("!Q", per_second), 2: struct.pack("!Q", 1), 3: _n(burst), 4: _n(0), 5: _n(1)}


@_kept
def count(packets: int = 0, octets: int = 0) -> Expression:
    """Count what comes so far, going on from these numbers."""
    return _make("counter", {1: struct.pack("!Q", octets), 2: struct.pack("!Q", packets)})


@_kept
def end(code: int, chain: str | None = None) -> Expression:
    """Decide, or go to another chain."""
    verdict = netlink.attribute(1, struct.pack("!i", code)) + (b"" if chain is None else wire.word(2, chain))
    return _make("immediate", {1: _n(0), 2: netlink.attribute(2, verdict)})


def read(content: bytes) -> tuple[Expression, ...]:
    """Decode what the kernel tells as the expressions of a rule."""
    found = []
    for _, element in netlink.attributes(content):
        told = netlink.fields(element)
        parts = dict(netlink.attributes(told.get(2, b"")))
        found.append(Expression(netlink.text(told.get(1, b"")), MappingProxyType(parts)))
    return tuple(found)
