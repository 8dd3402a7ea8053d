"""Bits of a packet's mark by which one hook tells the next what it knows. A guest cannot set them."""

import sys

from yamori.agent.filter import expressions as x
from yamori.agent.filter.expressions import Expression, Is, Key

ANSWERS, RELATES = 0x1000_0000, 0x2000_0000
"""Connection tracking at the IP layer tells the bridge what it knows."""
PASSED = 0x4000_0000
"""A card's own chain has seen the packet: the bridge drops what comes from a filtered card without it."""


def marked(bit: int) -> tuple[Expression, ...]:
    """Go on only if a packet bears a bit."""
    return x.about(Key.MARK), x.mask(_native(bit)), x.compare(Is.OTHER, bytes(4))


def mark(bit: int) -> tuple[Expression, ...]:
    """Put a bit on."""
    return x.about(Key.MARK), x.mask(_native(~bit & 0xFFFF_FFFF), _native(bit)), x.set_mark()


def unmark(bits: int) -> tuple[Expression, ...]:
    """Take bits off."""
    return x.about(Key.MARK), x.mask(_native(~bits & 0xFFFF_FFFF), _native(0)), x.set_mark()


def _native(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)
