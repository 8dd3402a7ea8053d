"""What is in the kernel against what should be: read back, never assumed. Nothing is changed here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from yamori.agent.filter import messages, wire
from yamori.agent.filter.line import Line
from yamori.agent.filter.messages import Hook, ToldRule
from yamori.agent.filter.port import is_here
from yamori.agent.filter.program import Program, chain_of, chains_of, stem
from yamori.agent.filter.skeleton import EARLY, INGRESS, MAPS, OURS, TABLE, entries
from yamori.agent.filter.way import Way
from yamori.agent.filter.wire import Nft
from yamori.model.filter_rule import Direction

FAMILIES: Mapping[str, int] = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}


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


def port_differences(nft: Nft, program: Program, interface: str) -> list[Difference]:
    """Compare one port, its rules, their sets, and the way into them. Raises NftRefused, TimedOut."""
    found: list[Difference] = []
    if nft.one(wire.GET_TABLE, wire.BRIDGE, messages.table(TABLE)) is None:
        return [Difference(fault=Fault.MISSING, where=TABLE)]
    for name in chains_of(program.port):
        found += _chain(nft, wire.BRIDGE, name, program.chains.get(name, ()))
    for name, ranges in program.sets.items():
        told = nft.one(wire.GET_SET, wire.BRIDGE, messages.set_of(TABLE, name))
        if told is None:
            found.append(Difference(fault=Fault.MISSING, where=name))
        elif messages.read_ranges(nft.dump(wire.GET_ELEMENT, wire.BRIDGE, messages.set_of(TABLE, name))) != ranges:
            found.append(Difference(fault=Fault.CHANGED, where=name))
    for way, map_ in MAPS.items():
        told = nft.one(wire.GET_ELEMENT, wire.BRIDGE, messages.entry(TABLE, map_, interface))
        leads_to = None if told is None else next((to for _, _, to in messages.read_elements(told)), None)
        if leads_to != chain_of(program.port, way):
            fault = Fault.MISSING if leads_to is None else Fault.CHANGED
            found.append(Difference(fault=fault, where=f"{map_}/{interface}"))
    return [*found, *_gate(nft, program, interface)]


def _gate(nft: Nft, program: Program, interface: str) -> list[Difference]:
    name = stem(program.port)
    told = nft.one(wire.GET_CHAIN, wire.NETDEV, messages.chain(TABLE, name))
    if not is_here(interface):
        return []  # nothing can come from it
    if told is None:
        return [Difference(fault=Fault.MISSING, where=name)]
    if messages.read_chain(told).hook != Hook(number=INGRESS, priority=EARLY, device=interface):
        return [Difference(fault=Fault.CHANGED, where=name)]
    return _chain(nft, wire.NETDEV, name, program.gate)


def table_differences(nft: Nft, way: Way, fenced: tuple[str, ...], ports: Mapping[str, str]) -> list[Difference]:
    """Compare what is there once for all, and find what is there for nobody; ``ports``: interface to port's id."""
    found: list[Difference] = []
    expected = entries(way, fenced)
    names: set[tuple[int, str]] = {(wire.BRIDGE, name) for port in ports.values() for name in chains_of(port)}
    names |= {(wire.NETDEV, stem(port)) for port in ports.values()}
    for family in OURS:
        needed = any(each == family for each, _ in expected)
        there = _there(nft, family)
        if there is None:
            if needed:
                found.append(Difference(fault=Fault.MISSING, where=TABLE))
            continue
        for (each, name), (hook, lines) in expected.items():
            if each == family:
                found += _entry(there, nft, family, name, hook, lines)
        found += [
            Difference(fault=Fault.FOREIGN, where=name)
            for name in sorted(there)
            if (family, name) not in expected and (family, name) not in names
        ]
    return found + _entrances(nft, ports)


def foreign_chains(nft: Nft) -> list[ForeignChain]:
    """List the chains of others that packets enter by themselves, in all families."""
    found: list[ForeignChain] = []
    for family, number in FAMILIES.items():
        for body in nft.dump(wire.GET_CHAIN, number):
            told = messages.read_chain(body)
            if told.hook is not None and not (told.table == TABLE and number in OURS):
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


def _there(nft: Nft, family: int) -> Mapping[str, Hook | None] | None:
    """Return our chains of a family with their hooks, None without a table."""
    if nft.one(wire.GET_TABLE, family, messages.table(TABLE)) is None:
        return None
    told = (messages.read_chain(body) for body in nft.dump(wire.GET_CHAIN, family))
    return {each.name: each.hook for each in told if each.table == TABLE}


def _entry(
    there: Mapping[str, Hook | None], nft: Nft, family: int, name: str, hook: Hook, lines: Sequence[Line]
) -> list[Difference]:
    if name in there and there[name] != hook:
        return [Difference(fault=Fault.CHANGED, where=name)]
    return _chain(nft, family, name, lines)


def _chain(nft: Nft, family: int, name: str, lines: Sequence[Line]) -> list[Difference]:
    if nft.one(wire.GET_CHAIN, family, messages.chain(TABLE, name)) is None:
        return [Difference(fault=Fault.MISSING, where=name)]
    told = [messages.read_rule(body) for body in nft.dump(wire.GET_RULE, family, messages.rules_of(TABLE, name))]
    same = len(told) == len(lines) and all(map(_same, told, lines))
    return [] if same else [Difference(fault=Fault.CHANGED, where=name)]


def _same(told: ToldRule, line: Line) -> bool:
    steps = tuple(step for step in line.steps if step.name != "counter")
    return told.id == line.id and told.steps == steps


def _entrances(nft: Nft, ports: Mapping[str, str]) -> list[Difference]:
    """Find interfaces that lead to a port which should not be behind them."""
    found: list[Difference] = []
    for way, map_ in MAPS.items():
        if nft.one(wire.GET_SET, wire.BRIDGE, messages.set_of(TABLE, map_)) is None:
            continue
        bodies = nft.dump(wire.GET_ELEMENT, wire.BRIDGE, messages.set_of(TABLE, map_))
        for interface in _strangers(bodies, ports, way):
            found.append(Difference(fault=Fault.FOREIGN, where=f"{map_}/{interface}"))
    return found


def _strangers(bodies: Iterable[bytes], ports: Mapping[str, str], way: Direction) -> list[str]:
    told = ((wire.read_word(key), to) for body in bodies for key, _, to in messages.read_elements(body))
    return [name for name, to in told if name not in ports or chain_of(ports[name], way) != to]
