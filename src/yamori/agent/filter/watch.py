"""What is in the kernel against what should be: read back, never assumed. Nothing is changed here."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from yamori.agent import netlink
from yamori.agent.filter import messages, wire
from yamori.agent.filter.layout import BRIDGE, FAMILIES, TABLE, Layout, Place, is_ours
from yamori.agent.filter.line import Line
from yamori.agent.filter.messages import Hook, ToldRule
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.seated import Seated, seated
from yamori.agent.filter.skeleton import MAPS, READY, entries
from yamori.agent.filter.told import entry_of, rules_in
from yamori.agent.filter.wire import Nft

_ALL: Mapping[str, int] = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}


class Fault(StrEnum):
    """In what way something is not as it should be."""

    MISSING = "missing"
    CHANGED = "changed"
    FOREIGN = "foreign"
    """It is in our table, and not by us or for no port that should be filtered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it should be: a chain, map, set or interface of ours, by its name."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignChain:
    """A chain of somebody else that packets enter by themselves. It is left alone; it may drop what we allow."""

    family: str
    untrusted_table: str
    untrusted_chain: str
    hook: int
    priority: int


def port_differences(nft: Nft, layout: Layout, attachment: Attachment) -> list[Difference]:
    """Compare one port, its rules, their sets, and the way into them. Raises Unsupported, NftRefused, TimedOut."""
    wanted = seated(layout, attachment)
    if not _has_table(nft, BRIDGE):
        return [Difference(fault=Fault.MISSING, where=TABLE)]
    found: list[Difference] = []
    for place, part in wanted.parts.items():
        for name, lines in part.chains.items():
            found += _chain(nft, place, name, lines, part.hooks.get(name))
        for name, ranges in part.sets.items():
            found += _set(nft, place, name, ranges)
    for map_, (key, to) in wanted.leads.items():
        told = entry_of(nft, map_, key)
        if told is None or told.to != to:
            fault = Fault.MISSING if told is None else Fault.CHANGED
            found.append(Difference(fault=fault, where=f"{map_}/{wanted.interface}"))
    return found


def table_differences(nft: Nft, layout: Layout, attachments: Iterable[Attachment]) -> list[Difference]:
    """Compare what is there once for all, and find what is there for nobody. Raises as ``port_differences``."""
    found: list[Difference] = []
    wanted = [seated(layout, each) for each in attachments]
    expected = entries(layout)
    names = {(place, name) for each in wanted for place, part in each.parts.items() for name in part.chains}
    there = _there(nft)
    for place in sorted({place for place, _ in expected}):
        if not _has_table(nft, place):
            found.append(Difference(fault=Fault.MISSING, where=place.table))
    for (place, name), (hook, lines) in expected.items():
        if (place, name) in there or _has_table(nft, place):
            found += _chain(nft, place, name, lines, hook)
    strangers = sorted(name for _, name in there - expected.keys() - names)
    found += [Difference(fault=Fault.FOREIGN, where=name) for name in strangers]
    return found + _entrances(nft, wanted)


def foreign_chains(nft: Nft) -> list[ForeignChain]:
    """List the chains of others that packets enter by themselves, in all families."""
    found: list[ForeignChain] = []
    for family, number in _ALL.items():
        for body in nft.dump(wire.GET_CHAIN, number):
            told = messages.read_chain(body)
            if told.hook is not None and not is_ours(number, told.table):
                where = told.hook
                found.append(
                    ForeignChain(
                        family=family,
                        untrusted_table=told.table,
                        untrusted_chain=told.name,
                        hook=where.number,
                        priority=where.priority,
                    )
                )
    return found


def _there(nft: Nft) -> set[tuple[Place, str]]:
    """Return the chains in our tables."""
    found: set[tuple[Place, str]] = set()
    for family in FAMILIES:
        told = (messages.read_chain(body) for body in nft.dump(wire.GET_CHAIN, family))
        found |= {
            (Place(family=family, table=each.table), each.name) for each in told if is_ours(family, each.table)
        }
    return found


def _has_table(nft: Nft, place: Place) -> bool:
    return nft.one(wire.GET_TABLE, place.family, messages.table(place.table)) is not None


def _chain(nft: Nft, place: Place, name: str, lines: Sequence[Line], hook: Hook | None) -> list[Difference]:
    body = nft.one(wire.GET_CHAIN, place.family, messages.chain(place.table, name))
    if body is None:
        return [Difference(fault=Fault.MISSING, where=name)]
    told = rules_in(nft, place, name)
    same = len(told) == len(lines) and all(map(_same, told, lines)) and messages.read_chain(body).hook == hook
    return [] if same else [Difference(fault=Fault.CHANGED, where=name)]


def _set(nft: Nft, place: Place, name: str, ranges: messages.Ranges) -> list[Difference]:
    which = messages.set_of(place.table, name)
    if nft.one(wire.GET_SET, place.family, which) is None:
        return [Difference(fault=Fault.MISSING, where=name)]
    same = messages.read_ranges(nft.dump(wire.GET_ELEMENT, place.family, which)) == ranges
    return [] if same else [Difference(fault=Fault.CHANGED, where=name)]


def _same(told: ToldRule, line: Line) -> bool:
    steps = tuple(step for step in line.steps if step.name != "counter")
    return told.id == line.id and told.steps == steps


def _entrances(nft: Nft, wanted: Iterable[Seated]) -> list[Difference]:
    """Find what leads to a port that should not be there, or lets packets pass that no port has a say in."""
    found: list[Difference] = []
    known = {(map_, key): to for each in wanted for map_, (key, to) in each.leads.items()}
    for map_ in (*MAPS.values(), READY):
        if nft.one(wire.GET_SET, wire.BRIDGE, messages.set_of(TABLE, map_)) is None:
            continue
        for body in nft.dump(wire.GET_ELEMENT, wire.BRIDGE, messages.set_of(TABLE, map_)):
            for told in messages.read_entries(body):
                if known.get((map_, told.key)) != told.to:
                    found.append(Difference(fault=Fault.FOREIGN, where=f"{map_}/{_shown(map_, told.key)}"))
    return found


def _shown(map_: str, key: bytes) -> str:
    return str(int.from_bytes(key, sys.byteorder)) if map_ == READY else netlink.text(key)
