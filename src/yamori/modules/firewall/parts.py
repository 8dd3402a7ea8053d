"""From one rule of a document to the rules of a Filter: who the other side is, by which services, in bounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import product

from yamori.model.filter_rule import (
    ICMP,
    ICMPV6,
    MOST_PEERS,
    MOST_PORTS,
    MOST_TYPES,
    Direction,
    Network,
    Rule,
    Span,
)
from yamori.model.ids import VMId
from yamori.modules.firewall.fleet import Fleet
from yamori.modules.firewall.groups import Allow
from yamori.modules.firewall.naming import rule_id
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6, collapsed, excepted
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import ANY, Match, merged

_FAMILY = {ICMP: 4, ICMPV6: 6}
_Words = tuple[tuple[str, ...], tuple[str, ...]]
"""Who is meant, and who of them is not."""
_Shape = tuple[int | None, tuple[Span, ...], tuple[Span, ...], tuple[int, ...]]


class Parts:
    """Makes the parts of rules, each once for all cards that share them."""

    def __init__(self, groups: Groups, fleet: Fleet, members: Mapping[str, tuple[VMId, ...]]) -> None:
        self._groups = groups
        self._members = members
        self._of_vm: defaultdict[VMId, list[Network]] = defaultdict(list)
        for card in fleet.cards:
            self._of_vm[card.vm] += card.addresses
        self._peers: dict[_Words, tuple[Network, ...] | None] = {}
        self._shapes: dict[tuple[str, ...], tuple[_Shape, ...]] = {}
        self._chunks: dict[tuple[_Words, int | None], tuple[tuple[Network, ...], ...]] = {}

    def peers(self, words: tuple[str, ...], less: tuple[str, ...] = ()) -> tuple[Network, ...] | None:
        """Return the fewest prefixes that the words stand for, without those in ``less``; None for everybody."""
        if (words, less) not in self._peers:
            out = collapsed(self._gathered(less))
            if ANY in words:
                found = None if not out else excepted((EVERYTHING4, EVERYTHING6), out)
            else:
                found = excepted(collapsed(self._gathered(words)), out)
            self._peers[words, less] = found
        return self._peers[words, less]

    def _gathered(self, words: tuple[str, ...]) -> Iterable[Network]:
        for word in words:
            listed = self._groups.addresses(word)
            if listed is not None:
                yield from listed
                continue
            for vm in self._members.get(word, ()):
                yield from self._of_vm.get(vm, ())

    def made(self, rule: Allow, way: Direction) -> tuple[Rule, ...]:
        """Return the parts of a rule at a card: none where the other side has no address."""
        words = (rule.from_ if way is Direction.IN else rule.to, rule.except_ or ())
        found: list[Rule] = []
        for protocol, ports, client_ports, types in self._shaped(rule.services):
            for peers in self._chunked(words, protocol):
                found.append(
                    Rule(
                        id=rule_id(rule.id, way, len(found)),
                        direction=way,
                        peers=peers,
                        protocol=protocol,
                        ports=ports,
                        client_ports=client_ports,
                        types=types,
                    )
                )
        return tuple(found)

    def _chunked(self, words: _Words, protocol: int | None) -> tuple[tuple[Network, ...], ...]:
        """Return who is meant in portions that a Rule takes, once for everybody; none where nobody is meant."""
        family = _FAMILY.get(-1 if protocol is None else protocol)
        if (words, family) not in self._chunks:
            peers = self.peers(*words)
            if peers is None:
                self._chunks[words, family] = ((),)
            else:
                fitting = [peer for peer in peers if family in (None, peer.version)]
                self._chunks[words, family] = tuple(
                    tuple(fitting[low : low + MOST_PEERS]) for low in range(0, len(fitting), MOST_PEERS)
                )
        return self._chunks[words, family]

    def _shaped(self, words: tuple[str, ...]) -> tuple[_Shape, ...]:
        if words not in self._shapes:
            self._shapes[words] = shapes(match for word in words for match in self._groups.matches(word))
        return self._shapes[words]


def shapes(matches: Iterable[Match]) -> tuple[_Shape, ...]:
    """Join services into as few shapes of rules as say the same."""
    given = list(dict.fromkeys(matches))
    if any(match.protocol is None for match in given):
        return ((None, (), (), ()),)
    ports: defaultdict[tuple[int, tuple[Span, ...]], list[tuple[Span, ...]]] = defaultdict(list)
    types: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for match in given:
        assert match.protocol is not None  # noqa: S101 -- asked above
        if match.protocol in _FAMILY:
            types[match.protocol].append(match.types)
        else:
            ports[match.protocol, match.client_ports].append(match.ports)
    found: list[_Shape] = []
    for (protocol, clients), many in ports.items():
        joint = () if () in many else merged(span for each in many for span in each)
        called, calling = _portions(joint, MOST_PORTS), _portions(clients, MOST_PORTS)
        found += [(protocol, here, there, ()) for here, there in product(called, calling)]
    for protocol, several in types.items():
        one = () if () in several else tuple(sorted({each for part in several for each in part}))
        found += [(protocol, (), (), part) for part in _portions(one, MOST_TYPES)]
    return tuple(found)


def _portions(many: tuple, most: int) -> list[tuple]:  # type: ignore[type-arg]
    return [many[low : low + most] for low in range(0, len(many), most)] or [()]
