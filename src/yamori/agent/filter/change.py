"""One port's change: reads what the kernel has of it, and adds to a batch what makes it as it should be."""

from collections.abc import Collection
from dataclasses import dataclass, field

from yamori.agent.filter import messages, wire
from yamori.agent.filter.layout import BRIDGE, TABLE, Layout, Place
from yamori.agent.filter.messages import Hook, ToldRule
from yamori.agent.filter.program import PEERS_COUNTED, entrance, stem_of
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.seated import Part, Seated
from yamori.agent.filter.skeleton import MAPS, READY, own
from yamori.agent.filter.told import (
    Counts,
    added,
    counted,
    entry_of,
    going_on,
    meters_in,
    names_in,
    owner,
    places_of,
    rules_in,
)
from yamori.agent.filter.wire import Batch, Nft
from yamori.model.filter_rule import Direction

_NEW = wire.CREATE
_RULE = wire.CREATE | wire.APPEND
_FIRST_SET = 10
"""Numbers by which the sets of one batch are told apart; those below are the skeleton's."""


@dataclass(slots=True, kw_only=True)
class Change:
    """Changes of several ports in one batch. ``fresh``: their tables begin empty in this batch.

    ``staying``: all ports of this change, by their stems; only others may lose an interface to one of them.
    """

    nft: Nft
    layout: Layout
    owned: bool
    staying: frozenset[str] = frozenset()
    fresh: bool = False
    batch: Batch = field(default_factory=Batch)
    _known: set[tuple[Place, str]] = field(default_factory=set)

    def port(self, wanted: Seated) -> None:
        """Make a port's chains, their sets, and what leads into them as they should be."""
        unused = [place for place in places_of(wanted.stem) if place not in wanted.parts]
        before: Counts = {}
        if not self.fresh:
            unused = [place for place in unused if self._is_used(wanted.stem, place)]
            before = counted(told for place in unused for told in self._rules(wanted.stem, place))
        for place, part in wanted.parts.items():
            self.part(part, before if place == next(iter(wanted.parts)) else {})
        self.lead(wanted)
        if not self.fresh:
            for place in unused:
                self.clear(wanted.stem, place)

    def part(self, part: Part, before: Counts) -> None:
        """Write what a port has in one table; what its rules have counted goes on, and ``before`` too."""
        place, table = part.place, part.place.table
        stem = stem_of(next(iter(part.chains)))
        told = [] if self.fresh else self._rules(stem, place)
        there = meters_in(told, stem)
        own(self.batch, {place}, owned=self.owned)
        self._sets(part, there)
        for name, hook in part.hooks.items():
            self._unhang(place, name, hook)
        for name in part.chains:
            self.batch.add(wire.NEW_CHAIN, place.family, messages.chain(table, name, part.hooks.get(name)), _NEW)
            self.batch.add(wire.DEL_RULE, place.family, messages.rules_of(table, name))
        for name, line, count in going_on(part, added(counted(told), before)):
            body = messages.rule(table, name, line, (count.packets, count.octets))
            self.batch.add(wire.NEW_RULE, place.family, body, _RULE)
        self._delete_chains(place, sorted({rule.chain for rule in told} - part.chains.keys()))
        for name in sorted(there - set(part.meters)):
            self.batch.add(wire.DEL_SET, place.family, messages.set_of(table, name))

    def lead(self, wanted: Seated) -> None:
        """Have the bridge's maps lead where they should; an interface's port before this one ends."""
        remark = f"{wanted.stem} {wanted.index}"
        before: set[tuple[str, int]] = set()
        for map_, (key, to) in wanted.leads.items():
            told = None if self.fresh else entry_of(self.nft, map_, key)
            if told is not None:
                if (told.to, told.remark) == (to, remark):
                    continue
                before.add(owner(told))
                self._delete_entry(map_, key)
            self.batch.add(wire.NEW_ELEMENT, wire.BRIDGE, messages.entry(TABLE, map_, key, to, remark), _NEW)
        for index in sorted({index for _, index in before} - {wanted.index}):
            self._not_ready(index)
        for stem in sorted({stem for stem, _ in before if stem} - self.staying - {wanted.stem}):
            self._clear_all(stem)

    def remove(self, stem: str, interface: str) -> None:
        """Take away what a port has, and what leads to it."""
        key = messages.interface_key(interface)
        for map_ in MAPS.values():
            told = entry_of(self.nft, map_, key)
            if told is not None and owner(told)[0] == stem:
                self._delete_entry(map_, key)
                if map_ == MAPS[Direction.IN]:
                    self._not_ready(owner(told)[1])
        self._clear_all(stem)

    def _clear_all(self, stem: str) -> None:
        for place in places_of(stem):
            if self._is_used(stem, place):
                self.clear(stem, place)

    def clear(self, stem: str, place: Place) -> None:
        """Take away all chains and meters of a port in one table."""
        there = [name for name in names_in(stem, place) if self._has_chain(place, name)]
        meters = meters_in(self._rules(stem, place), stem)
        self._delete_chains(place, there)
        for name in sorted(meters):
            self.batch.add(wire.DEL_SET, place.family, messages.set_of(place.table, name))

    def _not_ready(self, index: int) -> None:
        key = messages.index_key(index)
        if self.layout.seat is Seat.DEVICE and entry_of(self.nft, READY, key) is not None:
            self._delete_entry(READY, key)

    def _delete_entry(self, map_: str, key: bytes) -> None:
        self.batch.add(wire.DEL_ELEMENT, wire.BRIDGE, messages.entry(TABLE, map_, key))

    def _delete_chains(self, place: Place, names: Collection[str]) -> None:
        for name in names:
            self.batch.add(wire.DEL_RULE, place.family, messages.rules_of(place.table, name))
        for name in names:
            self.batch.add(wire.DEL_CHAIN, place.family, messages.chain(place.table, name))

    def _unhang(self, place: Place, name: str, hook: Hook) -> None:
        """Remove a chain that hangs elsewhere than it should: a hook cannot be changed."""
        if self.fresh:
            return
        told = self.nft.one(wire.GET_CHAIN, place.family, messages.chain(place.table, name))
        if told is not None and messages.read_chain(told).hook != hook:
            self._delete_chains(place, (name,))

    def _sets(self, part: Part, meters: set[str]) -> None:
        """Make what sets a program looks into; a set that is there has the content that its name says."""
        place, table = part.place, part.place.table
        for name, ranges in part.sets.items():
            if self._is_new(place, name) and (self.fresh or not self._has_set(place, name)):
                body = messages.ranges_set(table, name, ranges, _FIRST_SET + len(self._known))
                self.batch.add(wire.NEW_SET, place.family, body, _NEW)
                for body in messages.range_elements(table, name, ranges):
                    self.batch.add(wire.NEW_ELEMENT, place.family, body, _NEW)
        for name, length in part.meters.items():
            if self._is_new(place, name) and name not in meters:
                body = messages.meter(table, name, length, PEERS_COUNTED, _FIRST_SET + len(self._known))
                self.batch.add(wire.NEW_SET, place.family, body, _NEW)

    def _is_new(self, place: Place, name: str) -> bool:
        """Say whether a set comes up in this batch for the first time."""
        before = len(self._known)
        self._known.add((place, name))
        return len(self._known) > before

    def _is_used(self, stem: str, place: Place) -> bool:
        """Say whether a port has chains in a table."""
        begun = [entrance(stem, Direction.OUT), *([stem] if place != BRIDGE else [])]
        return any(self._has_chain(place, name) for name in begun)

    def _has_chain(self, place: Place, name: str) -> bool:
        return self.nft.one(wire.GET_CHAIN, place.family, messages.chain(place.table, name)) is not None

    def _has_set(self, place: Place, name: str) -> bool:
        return self.nft.one(wire.GET_SET, place.family, messages.set_of(place.table, name)) is not None

    def _rules(self, stem: str, place: Place) -> list[ToldRule]:
        return [rule for name in names_in(stem, place) for rule in rules_in(self.nft, place, name)]
