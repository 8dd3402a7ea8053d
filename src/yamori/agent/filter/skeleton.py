"""What is there once for all ports: our table on the bridge, its maps, and the chains that packets enter."""

from collections.abc import Mapping

from yamori.agent.filter import expressions as x
from yamori.agent.filter import messages, wire
from yamori.agent.filter.expressions import At, Expression, Is, Key
from yamori.agent.filter.layout import BRIDGE, TABLE, Layout, Place
from yamori.agent.filter.line import Line, bits
from yamori.agent.filter.mark import PASSED, marked, unmark
from yamori.agent.filter.messages import Hook
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.way import Way, marking
from yamori.agent.filter.wire import Batch
from yamori.model.filter_rule import Direction

MAPS: Mapping[Direction, str] = {Direction.IN: "in", Direction.OUT: "out"}
"""From an interface's name to what becomes of its packets on the bridge."""
READY = "ready"
"""From the number of an interface whose chains are there to letting packets go there (``Seat.DEVICE``)."""
STOP, GO = "stop", "go"
"""Where the maps lead to when the rules sit at the interface: what is not ready is dropped."""
FENCE = "port:fence"
"""Counts what a card of a VM sent or should have got past its Filter, or without one."""
_PREROUTING, _INPUT, _POSTROUTING = 0, 1, 4
_INET_PREROUTING, _INET_OUTPUT = 0, 3
EARLY, _AFTER_IP, _LATE, _AFTER_TRACKING = -300, 10, 300, -150
"""br_netfilter and the bridge's own tracking come in at 0 and -200; what they know is there after that."""
_LOCAL_GROUP, _LOCAL_MASK = bytes.fromhex("0180c2000000"), bytes.fromhex("fffffffffff0")
"""Frames that a bridge takes itself (IEEE 802.1Q, 8.6.3): they pass `input`, never `prerouting`, LLDP neither.

A port's chain or gate at its interface drops them all; without one the fence stops them, but LLDP."""

Chains = Mapping[tuple[Place, str], tuple[Hook | None, tuple[Line, ...]]]


def entries(layout: Layout) -> Chains:
    """Return what is not a port's, by table and name: the chains that packets enter, and where maps may lead."""
    early = EARLY if layout.way is Way.PLAIN else _AFTER_IP
    local = bits(At.LINK, 0, _LOCAL_MASK, _LOCAL_GROUP)
    fenced = layout.fenced
    at_bridge = layout.seat is Seat.BRIDGE
    seen = () if at_bridge else (Line(id=None, steps=(*marked(PASSED), *unmark(PASSED), x.end(x.ACCEPT))),)
    ready = (Line(id=None, steps=(x.about(Key.OUT_INDEX), x.by_map(READY))),) if _waits(layout) else ()
    by_source = Line(id=None, steps=(x.about(Key.IN_NAME), x.by_map(MAPS[Direction.OUT])))
    by_target = Line(id=None, steps=(x.about(Key.OUT_NAME), x.by_map(MAPS[Direction.IN])))
    local_by_source = Line(id=None, steps=(*local, *by_source.steps))
    found: dict[tuple[Place, str], tuple[Hook | None, tuple[Line, ...]]] = {
        (BRIDGE, "from"): (
            Hook(number=_PREROUTING, priority=early),
            (*seen, by_source, *(_fence(Key.IN_NAME, each) for each in fenced)),
        ),
        (BRIDGE, "local"): (
            Hook(number=_INPUT, priority=EARLY),
            (*(() if at_bridge else (local_by_source,)), *(_fence(Key.IN_NAME, each, local) for each in fenced)),
        ),
        (BRIDGE, "to"): (
            Hook(number=_POSTROUTING, priority=_LATE),
            (*ready, by_target, *(_fence(Key.OUT_NAME, each) for each in fenced)),
        ),
    }
    if not at_bridge:
        found[BRIDGE, STOP] = (None, (Line(id=FENCE, steps=(x.count(), x.end(x.DROP))),))
        found[BRIDGE, GO] = (None, (Line(id=None, steps=(x.end(x.ACCEPT),)),))
    if layout.way is Way.MARKED:
        for name, number in (("routed", _INET_PREROUTING), ("sent", _INET_OUTPUT)):
            hook = Hook(number=number, priority=_AFTER_TRACKING)
            found[Place(family=wire.INET, table=TABLE), name] = (hook, tuple(marking()))
    return found


def skeleton(batch: Batch, layout: Layout, *, owned: bool = False) -> None:
    """Add to a batch all that is not a port's. Done again, it changes nothing."""
    chains = entries(layout)
    own(batch, {place for place, _ in chains}, owned=owned)
    for identity, name in enumerate(MAPS.values(), 1):
        batch.add(wire.NEW_SET, wire.BRIDGE, messages.verdict_map(TABLE, name, identity), wire.CREATE)
    if _waits(layout):
        body = messages.verdict_map(TABLE, READY, len(MAPS) + 1, by_index=True)
        batch.add(wire.NEW_SET, wire.BRIDGE, body, wire.CREATE)
    for (place, name), (hook, lines) in chains.items():
        batch.add(wire.NEW_CHAIN, place.family, messages.chain(place.table, name, hook), wire.CREATE)
        batch.add(wire.DEL_RULE, place.family, messages.rules_of(place.table, name))
        for line in lines:
            body = messages.rule(place.table, name, line)
            batch.add(wire.NEW_RULE, place.family, body, wire.CREATE | wire.APPEND)


def own(batch: Batch, places: set[Place], *, owned: bool) -> None:
    """Make tables, or take up those that an earlier life may have left; ours already, it changes nothing."""
    for place in sorted(places):
        batch.add(wire.NEW_TABLE, place.family, messages.table(place.table, owned=owned), wire.CREATE)


def _waits(layout: Layout) -> bool:
    """Say whether packets for a card must be held back until its chains are there."""
    return layout.seat is Seat.DEVICE


def _fence(key: Key, beginning: str, where: tuple[Expression, ...] = ()) -> Line:
    """Drop what belongs to an interface whose name begins so."""
    steps = (*where, x.about(key), x.compare(Is.EQUAL, beginning.encode("ascii")), x.count(), x.end(x.DROP))
    return Line(id=FENCE, steps=steps)
