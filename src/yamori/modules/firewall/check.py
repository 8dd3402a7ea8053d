"""What is legal in a groups document and yet probably not meant: rules that say nothing, names nothing bears."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from yamori.model.filter_rule import ICMP, ICMPV6
from yamori.modules.firewall.compile import Compiled
from yamori.modules.firewall.fleet import Fleet
from yamori.modules.firewall.groups import DEFAULT, Allow, At, Mode
from yamori.modules.firewall.membership import Membership, membership
from yamori.modules.firewall.parts import shapes
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.wellknown import WELL_KNOWN
from yamori.policy.document import Path

MOST_TOLD = 200
"""So many warnings are told; of the others only how many they are."""
_Warning = tuple[Path, str, str | None]


def warnings(groups: Groups, fleet: Fleet | None = None, compiled: Compiled | None = None) -> list[str]:
    """Return one line a warning, each with file, line and column. Against a fleet they are more."""
    found = [*_whole(groups), *_unused(groups), *_families(groups), *_twice(groups), *_without_force(groups)]
    if fleet is not None:
        there = membership(groups.firewall, fleet)
        found += [*_nobody(groups, fleet, there), *_addresses(groups, fleet, there)]
    if compiled is not None:
        found += _idle(groups, compiled)
    lines = [groups.line(*each) for each in found[:MOST_TOLD]]
    if len(found) > MOST_TOLD:
        lines.append(f"{groups.source}: and {len(found) - MOST_TOLD} more warnings")
    return lines


def _whole(groups: Groups) -> Iterator[_Warning]:
    firewall = groups.firewall
    if DEFAULT not in firewall.groups:
        mend = "write a group default to say otherwise"
        yield ("groups",), "there is no group default: VMs in no group are closed both ways", mend
    if firewall.groups and all(group.mode is Mode.OBSERVE for group in firewall.groups.values()):
        yield ("groups",), "no group enforces: nothing is dropped", None


def _unused(groups: Groups) -> Iterator[_Warning]:
    rules = groups.firewall.rules
    peers = {word for rule in rules for word in (*rule.from_, *rule.to, *(rule.except_ or ()))}
    services = {word for rule in rules for word in rule.services}
    for name in groups.firewall.networks:
        if name not in peers:
            yield ("networks", name), "no rule names this list", None
    for name in groups.firewall.services:
        if name not in services:
            yield ("services", name), "no rule names this service", None
        if name in WELL_KNOWN:
            yield ("services", name), "this name is well known; here it means what you write", None
    for name, group in groups.firewall.groups.items():
        if name != DEFAULT and name not in peers and not (group.default.into and group.default.out):
            yield ("groups", name), "no rule names this group: of itself it allows nothing", None


def _families(groups: Groups) -> Iterator[_Warning]:
    """Rules whose services cannot be spoken with the addresses that they name."""
    wanted = {ICMP: 4, ICMPV6: 6}
    for number, rule in enumerate(groups.firewall.rules):
        protocols = {match.protocol for word in rule.services for match in groups.matches(word)}
        families = {wanted.get(-1 if protocol is None else protocol) for protocol in protocols}
        if len(families) != 1 or None in families:
            continue
        for key, words in (("from", rule.from_), ("to", rule.to)):
            listed = [groups.addresses(word) for word in words]
            versions = {each.version for part in listed if part is not None for each in part}
            if None not in listed and versions and versions.isdisjoint(families):
                what = f"rule {rule.id}: can never match: its services are not spoken over these addresses"
                yield ("rules", number, key), what, None


def _twice(groups: Groups) -> Iterator[_Warning]:
    """Rules that another one says too. Compared among those between the same, so that many rules cost little."""
    between: defaultdict[tuple[frozenset[str], ...], list[int]] = defaultdict(list)
    rules = groups.firewall.rules
    for number, rule in enumerate(rules):
        between[frozenset(rule.from_), frozenset(rule.to), frozenset(rule.except_ or ())].append(number)
    for numbers in between.values():
        seen: dict[tuple[object, At], int] = {}
        for number in numbers:
            rule = rules[number]
            meaning = frozenset(shapes(match for word in rule.services for match in groups.matches(word)))
            for at in {rule.at, At.BOTH}:
                first = seen.get((meaning, at))
                if first is not None:
                    yield ("rules", number, "id"), f"rule {rule.id}: says what rule {rules[first].id} says", None
                    break
            seen.setdefault((meaning, rule.at), number)


def _without_force(groups: Groups) -> Iterator[_Warning]:
    open_in = {name for name, group in groups.firewall.groups.items() if group.default.into}
    open_out = {name for name, group in groups.firewall.groups.items() if group.default.out}
    for number, rule in enumerate(groups.firewall.rules):
        if _all_open(groups, rule, open_in, open_out):
            what = (
                f"rule {rule.id}: the groups let it through by default; it counts only for VMs in other groups too"
            )
            yield ("rules", number), what, None


def _all_open(groups: Groups, rule: Allow, open_in: set[str], open_out: set[str]) -> bool:
    named = groups.firewall.groups
    called = {word for word in rule.to if word in named} if rule.at is not At.FROM else set()
    calling = {word for word in rule.from_ if word in named} if rule.at is not At.TO else set()
    return called <= open_in and calling <= open_out


def _nobody(groups: Groups, fleet: Fleet, there: Membership) -> Iterator[_Warning]:
    for name, group in groups.firewall.groups.items():
        if name != DEFAULT and group.select is not None and not there.members.get(name):
            yield ("groups", name, "select"), f"no VM of {len(fleet.vms)} is in this group", None
    unsure = Counter(name for names in there.unsure.values() for name in names)
    for name, many in sorted(unsure.items()):
        what = (
            f"for {many} VMs it is unknown whether they are in this group: it bounds them and allows them nothing"
        )
        yield ("groups", name, "select"), what, None
    if DEFAULT not in groups.firewall.groups:
        closed = sum(1 for names in there.groups.values() if not names)
        if closed:
            yield ("groups",), f"{closed} VMs are in no group, and closed", None


def _addresses(groups: Groups, fleet: Fleet, there: Membership) -> Iterator[_Warning]:
    bare = {card.vm for card in fleet.cards if not card.addresses}
    for name, vms in there.members.items():
        many = len(bare.intersection(vms))
        if many:
            what = f"{many} of {len(vms)} VMs have a card without a known address: rules cannot mean it"
            yield ("groups", name), what, "let the inventory know their addresses"


def _idle(groups: Groups, compiled: Compiled) -> Iterator[_Warning]:
    """Rules that came to no card: nobody is there to call, or to be called."""
    in_force = {origin.rule for origin in compiled.origins.values()}
    for number, rule in enumerate(groups.firewall.rules):
        if rule.id not in in_force:
            what = f"rule {rule.id}: is at no card: one of its sides has no VM or no known address"
            yield ("rules", number), what, None
