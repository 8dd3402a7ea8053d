"""What is there once for all ports: our table, its maps, and the chains by which packets enter it."""

from collections.abc import Mapping

from yamori.agent.filter import expressions as x
from yamori.agent.filter import messages, wire
from yamori.agent.filter.expressions import At, Expression, Is, Key
from yamori.agent.filter.line import Line, bits
from yamori.agent.filter.messages import Hook
from yamori.agent.filter.way import Way, marking
from yamori.agent.filter.wire import Batch
from yamori.model.filter_rule import Direction

TABLE = "yamori"
"""The name of our table, in the bridge family and, where tracking is the IP layer's, in inet."""
MAPS: Mapping[Direction, str] = {Direction.IN: "in", Direction.OUT: "out"}
FENCE = "port:fence"
"""Counts what a port of a VM sent or should have got that has no Filter."""
OURS = (wire.BRIDGE, wire.INET, wire.NETDEV)
"""Families in which a table of this name is ours."""
INGRESS = 0
_PREROUTING, _INPUT, _POSTROUTING = 0, 1, 4
_INET_PREROUTING, _INET_OUTPUT = 0, 3
EARLY, _AFTER_IP, _LATE, _AFTER_TRACKING = -300, 10, 300, -150
"""br_netfilter and the bridge's own tracking come in at 0 and -200; what they know is there after that."""
_LOCAL_GROUP, _LOCAL_MASK = bytes.fromhex("0180c2000000"), bytes.fromhex("fffffffffff0")
"""Frames that a bridge takes itself (IEEE 802.1Q, 8.6.3): they pass `input`, never `prerouting`, LLDP neither.

A port's gate drops them all; without a gate the fence stops them, but LLDP."""

Chains = Mapping[tuple[int, str], tuple[Hook, tuple[Line, ...]]]


def entries(way: Way, fenced: tuple[str, ...]) -> Chains:
    """Return the chains that packets enter, by family and name.

    ``fenced``: beginnings of interfaces' names that are VMs' cards by their name alone ("vnet", "vif"): what has
    such a name and no Filter is cut off. Without it, an interface without a Filter is nobody's business here.
    """
    early = EARLY if way is Way.PLAIN else _AFTER_IP
    local = bits(At.LINK, 0, _LOCAL_MASK, _LOCAL_GROUP)
    by_source = (x.about(Key.IN_NAME), x.by_map(MAPS[Direction.OUT]))
    by_target = (x.about(Key.OUT_NAME), x.by_map(MAPS[Direction.IN]))
    found: dict[tuple[int, str], tuple[Hook, tuple[Line, ...]]] = {
        (wire.BRIDGE, "from"): (
            Hook(number=_PREROUTING, priority=early),
            (Line(id=None, steps=by_source), *(_fence(Key.IN_NAME, each) for each in fenced)),
        ),
        (wire.BRIDGE, "local"): (
            Hook(number=_INPUT, priority=EARLY),
            tuple(_fence(Key.IN_NAME, each, local) for each in fenced),
        ),
        (wire.BRIDGE, "to"): (
            Hook(number=_POSTROUTING, priority=_LATE),
            (Line(id=None, steps=by_target), *(_fence(Key.OUT_NAME, each) for each in fenced)),
        ),
    }
    if way is Way.MARKED:
        for name, number in (("routed", _INET_PREROUTING), ("sent", _INET_OUTPUT)):
            hook = Hook(number=number, priority=_AFTER_TRACKING)
            found[wire.INET, name] = (hook, tuple(marking()))
    return found


def skeleton(batch: Batch, way: Way, fenced: tuple[str, ...], *, owned: bool = False) -> None:
    """Add to a batch all that is not a port's. Done again, it changes nothing."""
    chains = entries(way, fenced)
    for family in sorted({family for family, _ in chains}):
        batch.add(wire.NEW_TABLE, family, messages.table(TABLE, owned=owned), wire.CREATE)
    for identity, name in enumerate(MAPS.values(), 1):
        batch.add(wire.NEW_SET, wire.BRIDGE, messages.verdict_map(TABLE, name, identity), wire.CREATE)
    for (family, name), (hook, lines) in chains.items():
        batch.add(wire.NEW_CHAIN, family, messages.chain(TABLE, name, hook), wire.CREATE)
        batch.add(wire.DEL_RULE, family, messages.rules_of(TABLE, name))
        for line in lines:
            batch.add(wire.NEW_RULE, family, messages.rule(TABLE, name, line), wire.CREATE | wire.APPEND)


def own(batch: Batch, way: Way, fenced: tuple[str, ...]) -> None:
    """Take up the tables that are there, which an earlier life may have left; ours already, it changes nothing."""
    for family in sorted({family for family, _ in entries(way, fenced)}):
        batch.add(wire.NEW_TABLE, family, messages.table(TABLE, owned=True), wire.CREATE)


def _fence(key: Key, beginning: str, where: tuple[Expression, ...] = ()) -> Line:
    """Drop what belongs to an interface whose name begins so."""
    steps = (*where, x.about(key), x.compare(Is.EQUAL, beginning.encode("ascii")), x.count(), x.end(x.DROP))
    return Line(id=FENCE, steps=steps)
