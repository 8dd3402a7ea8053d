"""What the kernel tells of one port: its rules, what they have counted, and what leads to it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from yamori.agent import netlink
from yamori.agent.filter import messages, wire
from yamori.agent.filter.layout import BRIDGE, TABLE, Place, shard_of
from yamori.agent.filter.line import Line
from yamori.agent.filter.messages import ToldEntry, ToldRule
from yamori.agent.filter.program import chains_of, entrance, stem_of
from yamori.agent.filter.seated import Part
from yamori.agent.filter.wire import Nft
from yamori.model.filter_rule import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one rule of a Filter has counted since its port was first filtered here."""

    packets: int = 0
    octets: int = 0


Counts = Mapping[tuple[Direction, str], Count]
"""By the way that the packets went, and the id of what decided."""


def places_of(stem: str) -> tuple[Place, Place]:
    """Return the tables in which a port may have something."""
    return shard_of(stem), BRIDGE


def names_in(stem: str, place: Place) -> tuple[str, ...]:
    """Return the names of all chains that a port may have in a table."""
    return chains_of(stem) if place == BRIDGE else (*chains_of(stem), stem)


def rules_in(nft: Nft, place: Place, chain: str) -> list[ToldRule]:
    """Read the rules of a chain; one that is not there has none. Raises NftRefused, TimedOut."""
    bodies = nft.dump(wire.GET_RULE, place.family, messages.rules_of(place.table, chain))
    return [messages.read_rule(body) for body in bodies]


def entry_of(nft: Nft, map_: str, key: bytes) -> ToldEntry | None:
    """Read where a map leads to, None for nowhere. Raises NftRefused, TimedOut."""
    body = nft.one(wire.GET_ELEMENT, wire.BRIDGE, messages.entry(TABLE, map_, key))
    return None if body is None else next(messages.read_entries(body), None)


def owner(told: ToldEntry) -> tuple[str, int]:
    """Return the stem of the port that an element is for, and the interface's number then."""
    stem, _, index = told.remark.partition(" ")
    return (stem, int(index)) if stem_of(stem) == stem and index.isdecimal() else ("", 0)


def meters_in(rules: Iterable[ToldRule], stem: str) -> set[str]:
    """Return the names of the meters of a port that its rules fill."""
    begins = stem.encode()
    return {
        netlink.text(step.parts[1])
        for rule in rules
        for step in rule.steps
        if step.name == "dynset" and step.parts.get(1, b"").startswith(begins)
    }


def counted(rules: Iterable[ToldRule]) -> Counts:
    """Add up by id what rules of a port have counted. A gate's are on the way from the VM."""
    found: dict[tuple[Direction, str], Count] = {}
    for told in rules:
        if told.id is not None:
            key = _way_of(told.chain), told.id
            found[key] = _sum(found.get(key), Count(packets=told.packets, octets=told.octets))
    return found


def added(one: Counts, other: Counts) -> Counts:
    """Add two counts."""
    return {**one, **{key: _sum(one.get(key), count) for key, count in other.items()}}


def going_on(part: Part, before: Counts) -> Iterator[tuple[str, Line, Count]]:
    """Give the count so far of each id to the first line that bears it, so that sums over an id never fall."""
    left = dict(before)
    for name, lines in part.chains.items():
        way = _way_of(name)
        for line in lines:
            yield name, line, Count() if line.id is None else left.pop((way, line.id), Count())


def _sum(one: Count | None, other: Count) -> Count:
    return other if one is None else Count(packets=one.packets + other.packets, octets=one.octets + other.octets)


def _way_of(chain: str) -> Direction:
    return Direction.IN if chain.startswith(entrance(stem_of(chain), Direction.IN)) else Direction.OUT
