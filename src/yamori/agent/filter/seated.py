"""A Filter at its interface as the chains that the kernel should have: what is written, and what is compared.

At the bridge all chains of a port are in one table, and a gate is at the interface. At the device its entrances
hang at the interface itself, and the bridge's map only stops what has not passed them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.agent.filter import messages
from yamori.agent.filter.layout import BRIDGE, Layout, Place, shard_of
from yamori.agent.filter.line import Line
from yamori.agent.filter.mark import PASSED, mark
from yamori.agent.filter.messages import EGRESS, INGRESS, Hook
from yamori.agent.filter.port import Attachment, check_interface, index_of
from yamori.agent.filter.program import Program, compiled, entrance, stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.skeleton import EARLY, GO, MAPS, READY, STOP
from yamori.agent.filter.way import Way, proof
from yamori.model.errors import Unsupported
from yamori.model.filter import Filter, Replies
from yamori.model.filter_rule import Direction

_HOOKS: Mapping[Direction, int] = {Direction.OUT: INGRESS, Direction.IN: EGRESS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a port has in one table. ``hooks``: of those chains that packets enter by themselves."""

    place: Place
    chains: Mapping[str, tuple[Line, ...]]
    hooks: Mapping[str, Hook]
    sets: Mapping[str, messages.Ranges]
    meters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seated:
    """All of one port. ``leads``: by map, the key of this interface in it, and the chain that it leads to.

    ``index``: the interface's number, 0 before it is there.
    """

    stem: str
    interface: str
    index: int
    parts: Mapping[Place, Part]
    leads: Mapping[str, tuple[bytes, str]]


def translated(layout: Layout, wanted: Filter) -> Program:
    """Translate a Filter for this host. Raises Unsupported when it demands what the host lacks."""
    if wanted.replies is Replies.PROVEN and layout.way is Way.PLAIN:
        why = "replies must be proven, and this kernel tracks no connections on a bridge"
        raise Unsupported("filter.stateful", why, subject=wanted.port)
    return compiled(wanted, proof(layout.way))


def seated(layout: Layout, attachment: Attachment) -> Seated:
    """Lay out a port. Raises Unsupported, Invalid."""
    check_interface(attachment.interface)
    program = translated(layout, attachment.filter)
    name, interface = stem(program.port), attachment.interface
    index = index_of(interface)
    leads = {map_: (messages.interface_key(interface), entrance(name, way)) for way, map_ in MAPS.items()}
    if layout.seat is Seat.BRIDGE:
        parts = [_at_bridge(program), *([_gate(program, interface)] if index else [])]
    else:
        there = layout.seat is Seat.NAME or index > 0
        parts = [_at_device(program, interface)] if there else []
        leads[MAPS[Direction.IN]] = (messages.interface_key(interface), GO if layout.seat is Seat.NAME else STOP)
        if attachment.detoured:
            parts.append(_detour(program))
        else:
            leads[MAPS[Direction.OUT]] = (messages.interface_key(interface), STOP)
        if layout.seat is Seat.DEVICE and index:
            leads[READY] = (messages.index_key(index), GO)
    return Seated(
        stem=name,
        interface=interface,
        index=index,
        parts={part.place: part for part in parts},
        leads=leads,
    )


def _at_bridge(program: Program) -> Part:
    return Part(place=BRIDGE, chains=program.chains, hooks={}, sets=program.sets, meters=program.meters)


def _gate(program: Program, interface: str) -> Part:
    """Stop at the interface itself what the bridge must not even learn from."""
    name = stem(program.port)
    hooks = {name: Hook(number=INGRESS, priority=EARLY, device=interface)}
    return Part(place=shard_of(name), chains={name: program.gate}, hooks=hooks, sets={}, meters={})


def _at_device(program: Program, interface: str) -> Part:
    """Put the same chains at the interface; what comes from the guest is marked as seen."""
    name = stem(program.port)
    first = entrance(name, Direction.OUT)
    chains = {**program.chains, first: (Line(id=None, steps=mark(PASSED)), *program.chains[first])}
    hooks = {
        entrance(name, way): Hook(number=number, priority=EARLY, device=interface)
        for way, number in _HOOKS.items()
    }
    return Part(place=shard_of(name), chains=chains, hooks=hooks, sets=program.sets, meters=program.meters)


def _detour(program: Program) -> Part:
    """Have at the bridge, too, what decides about packets from the guest."""
    first = entrance(stem(program.port), Direction.OUT)
    chains = {name: lines for name, lines in program.chains.items() if name.startswith(first)}
    meters = {name: length for name, length in program.meters.items() if name.startswith(first)}
    return Part(place=BRIDGE, chains=chains, hooks={}, sets=program.sets, meters=meters)
