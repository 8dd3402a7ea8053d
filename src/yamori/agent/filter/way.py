"""How this kernel can filter what passes a bridge, tried out without leaving a trace."""

import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from yamori.agent.filter import expressions as x
from yamori.agent.filter import messages, wire
from yamori.agent.filter.expressions import Expression, Is, Key
from yamori.agent.filter.line import Line
from yamori.agent.filter.mark import ANSWERS, RELATES, mark, marked, unmark
from yamori.agent.filter.messages import Hook
from yamori.agent.filter.policy import Proof
from yamori.agent.filter.seat import TRIAL, Seat, find_seat, goes
from yamori.agent.filter.wire import Batch, Nft
from yamori.model.errors import Unsupported

_ESTABLISHED, _RELATED = 2, 4
"""Bits of `ct state`."""
_STATE, _DIRECTION, _REPLY = 0, 1, b"\x01"
_SWITCHES = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


class Way(StrEnum):
    """How replies are known on a bridge, best first."""

    TRACKED = "tracked"
    """The bridge tracks connections itself (nf_conntrack_bridge)."""
    MARKED = "marked"
    """br_netfilter shows the bridge's packets to the IP layer, whose tracking marks them for us."""
    PLAIN = "plain"
    """By their form alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What this kernel has; ``missing`` says why something is not used, by its name."""

    way: Way
    seat: Seat
    owned: bool
    """Whether tables can be kept from other hands, `nft flush ruleset` included, and outlive who made them."""
    missing: Mapping[str, str]


def find_out(nft: Nft) -> Means:
    """Try each way without carrying anything out. Raises Unsupported when there is none at all."""
    missing: dict[str, str] = {}
    if not goes(nft, missing, "bridge", _basis()):
        raise Unsupported("filter", f"the kernel cannot filter a bridge: {missing['bridge']}")
    owned = goes(nft, missing, "owned tables", _owned())
    if goes(nft, missing, "bridge tracking", _with_rule(wire.BRIDGE, Hook(number=0, priority=10), _asking())):
        return Means(way=Way.TRACKED, seat=Seat.BRIDGE, owned=owned, missing=missing)
    tracked = goes(nft, missing, "IP tracking", _with_rule(wire.INET, Hook(number=0, priority=-150), _asking()))
    if tracked and _shown_to_ip(missing):
        return Means(way=Way.MARKED, seat=Seat.BRIDGE, owned=owned, missing=missing)
    return Means(way=Way.PLAIN, seat=find_seat(nft, missing), owned=owned, missing=missing)


def proof(way: Way) -> Proof | None:
    """Return how a way proves that a packet answers, or reports on, a connection."""
    if way is Way.PLAIN:
        return None
    if way is Way.MARKED:
        return Proof(reply=marked(ANSWERS), related=marked(RELATES))
    return Proof(reply=_answering(), related=_in_state(_RELATED))


def marking() -> list[Line]:
    """Return the rules by which the IP layer's tracking marks what it knows."""
    return [
        Line(id=None, steps=unmark(ANSWERS | RELATES)),
        Line(id=None, steps=(*_answering(), *mark(ANSWERS))),
        Line(id=None, steps=(*_in_state(_RELATED), *mark(RELATES))),
    ]


def _answering() -> tuple[Expression, ...]:
    return (x.tracked(_DIRECTION), x.compare(Is.EQUAL, _REPLY), *_in_state(_ESTABLISHED))


def _in_state(state: int) -> tuple[Expression, ...]:
    return x.tracked(_STATE), x.mask(_native(state)), x.compare(Is.OTHER, bytes(4))


def _native(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _basis() -> Batch:
    batch = Batch()
    batch.add(wire.NEW_TABLE, wire.BRIDGE, messages.table(TRIAL), wire.CREATE)
    batch.add(wire.NEW_SET, wire.BRIDGE, messages.verdict_map(TRIAL, "in", 1), wire.CREATE)
    batch.add(wire.NEW_SET, wire.BRIDGE, messages.meter(TRIAL, "m", 4, 16, 2), wire.CREATE)
    for number in (0, 1, 4):
        hook = Hook(number=number, priority=10)
        batch.add(wire.NEW_CHAIN, wire.BRIDGE, messages.chain(TRIAL, f"c{number}", hook), wire.CREATE)
    steps = (x.about(Key.IN_NAME), x.by_map("in"))
    timed = (x.about(Key.TIME), x.to_network_order(8), x.compare(Is.LESS, struct.pack("!Q", 1)))
    held = (x.load(x.At.NETWORK, 12, 4), x.over_each("m", 1, 1, 1000), x.over(1, 1), x.count(), x.end(x.DROP))
    for each in (steps, timed, held):
        line = Line(id=None, steps=each)
        batch.add(wire.NEW_RULE, wire.BRIDGE, messages.rule(TRIAL, "c0", line), wire.CREATE | wire.APPEND)
    return batch


def _owned() -> Batch:
    batch = Batch()
    batch.add(wire.NEW_TABLE, wire.BRIDGE, messages.table(TRIAL, owned=True), wire.CREATE)
    return batch


def _asking() -> Line:
    return Line(id=None, steps=_answering())


def _with_rule(family: int, hook: Hook, line: Line) -> Batch:
    batch = Batch()
    batch.add(wire.NEW_TABLE, family, messages.table(TRIAL), wire.CREATE)
    batch.add(wire.NEW_CHAIN, family, messages.chain(TRIAL, "c", hook), wire.CREATE)
    batch.add(wire.NEW_RULE, family, messages.rule(TRIAL, "c", line), wire.CREATE | wire.APPEND)
    return batch


def _shown_to_ip(missing: dict[str, str]) -> bool:
    """Say whether br_netfilter is switched on here. It changes what others' rules see: we never switch it."""
    for switch in _SWITCHES:
        try:
            on = Path(f"/proc/sys/net/bridge/{switch}").read_text(encoding="ascii").strip() == "1"
        except OSError:
            on = False
        if not on:
            missing["br_netfilter"] = f"net.bridge.{switch} is off"
            return False
    return True
