"""From groups and a fleet to one Filter for each card, and to who wrote what in it. All of them, or an error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from yamori.model.errors import Invalid
from yamori.model.filter import MOST_RULES, Filter
from yamori.model.filter_rule import Direction, Rule
from yamori.modules.firewall.bounds import Bounds, bounds
from yamori.modules.firewall.fleet import Card, Fleet
from yamori.modules.firewall.groups import At, Group, Mode
from yamori.modules.firewall.membership import membership
from yamori.modules.firewall.naming import unmatched_id
from yamori.modules.firewall.parts import Parts
from yamori.modules.firewall.reading import Groups
from yamori.policy.nodes import Mark, tidy


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a rule of a Filter comes from: the document's rule and its place; None is a default."""

    rule: str | None
    direction: Direction
    source: str
    place: Mark | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """One card with what holds at it. ``mode`` observe: the Filter says what would be, and drops nothing.

    ``unsure``: groups that may be the VM's own, but the fleet does not say; they bound it and allow it nothing.
    """

    card: Card
    vm_name: str
    filter: Filter
    mode: Mode
    groups: tuple[str, ...]
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """All cards by port; origins by the id of a rule in a Filter, the same at every card; members by group."""

    cards: Mapping[str, Guarded]
    origins: Mapping[str, Origin]
    members: Mapping[str, tuple[str, ...]]


_Signature = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all cards have in common whose VMs are in the same groups."""

    bounds: Bounds
    rules: tuple[Rule, ...]
    last: int | None
    """Number of the document's rule with which there were more than a Filter takes."""


def compile_groups(groups: Groups, fleet: Fleet) -> Compiled:
    """Compile a document for a fleet. Raises Invalid, naming rule and VM, and then nothing holds of it."""
    found = membership(groups.firewall, fleet)
    work = _Work(groups, Parts(groups, fleet, found.members))
    cards: dict[str, Guarded] = {}
    for card in fleet.cards:
        vm = fleet.vms[card.vm]
        sure, unsure = found.groups[card.vm], found.unsure.get(card.vm, ())
        shared = work.shared((sure, unsure))
        if shared.last is not None:
            raise _too_many(groups, shared.last, vm.name)
        cards[card.port] = Guarded(
            card=card,
            vm_name=vm.name,
            filter=_filter(card, shared, vm.name, groups.source),
            mode=shared.bounds.mode,
            groups=sure,
            unsure=unsure,
        )
    return Compiled(cards=cards, origins=work.origins, members=found.members)


def _filter(card: Card, shared: _Shared, vm_name: str, source: str) -> Filter:
    held = shared.bounds
    try:
        return Filter(
            port=card.port,
            mac=card.mac,
            addresses=card.addresses,
            addressing=held.addressing,
            reserved=held.reserved,
            dhcp_servers=held.dhcp_servers,
            routers=held.routers,
            serves=held.serves,
            rules=shared.rules,
            rates=held.rates,
            replies=held.replies,
            errors=held.errors,
            fragments=held.fragments,
            failure=held.failure,
        )
    except Invalid as error:
        raise Invalid(f"{source}: VM {tidy(vm_name, 60)!r}, card {card.port}: {error.message}") from None


def _too_many(groups: Groups, number: int, vm_name: str) -> Invalid:
    rule = groups.firewall.rules[number]
    what = f"rule {rule.id}: with it VM {tidy(vm_name, 60)!r} would have more than {MOST_RULES} rules at a card"
    mend = "let one rule name several services and groups, or put the VM in fewer groups"
    return Invalid(groups.line(("rules", number), what, mend), subject=groups.source)


class _Work:
    """Compiles each set of groups once."""

    def __init__(self, groups: Groups, parts: Parts) -> None:
        self._groups = groups
        self._parts = parts
        self._known: dict[_Signature, _Shared] = {}
        self._made: dict[tuple[int, Direction], tuple[Rule, ...]] = {}
        self.origins: dict[str, Origin] = {}
        self._written: dict[Direction, defaultdict[str, list[int]]] = {way: defaultdict(list) for way in Direction}
        for number, rule in enumerate(groups.firewall.rules):
            for way, words, wanted in ((Direction.IN, rule.to, At.TO), (Direction.OUT, rule.from_, At.FROM)):
                if rule.at in (At.BOTH, wanted):
                    for word in dict.fromkeys(words):
                        if word in groups.firewall.groups:
                            self._written[way][word].append(number)
        modes = {group.mode for group in groups.firewall.groups.values()}
        self._closed = Mode.ENFORCE if Mode.ENFORCE in modes else Mode.OBSERVE

    def shared(self, signature: _Signature) -> _Shared:
        if signature not in self._known:
            self._known[signature] = self._share(*signature)
        return self._known[signature]

    def _share(self, sure: tuple[str, ...], unsure: tuple[str, ...]) -> _Shared:
        named = self._groups.firewall.groups
        held = bounds(self._named(sure), [named[name] for name in unsure], closed=self._closed)
        rules: list[Rule] = []
        for way, open_ in ((Direction.IN, held.unmatched.into), (Direction.OUT, held.unmatched.out)):
            for number in sorted({number for name in sure for number in self._written[way].get(name, ())}):
                rules += self._parts_of(number, way)
                if len(rules) > MOST_RULES - 2:  # two may be added for what no rule allows
                    return _Shared(held, (), number)
            if open_:
                rules.append(self._let(way))
        return _Shared(held, tuple(rules), None)

    def _named(self, names: tuple[str, ...]) -> list[Group]:
        return [self._groups.firewall.groups[name] for name in names]

    def _parts_of(self, number: int, way: Direction) -> tuple[Rule, ...]:
        if (number, way) not in self._made:
            rule = self._groups.firewall.rules[number]
            made = self._parts.made(rule, way)
            self._made[number, way] = made
            words = f"{' '.join(rule.services)} from {', '.join(rule.from_)} to {', '.join(rule.to)}"
            origin = Origin(
                rule=rule.id,
                direction=way,
                source=self._groups.source,
                place=self._groups.place("rules", number),
                words=tidy(words),
            )
            self.origins.update(dict.fromkeys((part.id for part in made), origin))
        return self._made[number, way]

    def _let(self, way: Direction) -> Rule:
        rule = Rule(id=unmatched_id(way), direction=way)
        words = "all groups of the VM let through what no rule allows"
        self.origins[rule.id] = Origin(
            rule=None, direction=way, source=self._groups.source, place=None, words=words
        )
        return rule
