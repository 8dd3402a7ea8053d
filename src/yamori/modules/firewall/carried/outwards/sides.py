"""Each rule of a document as it stands at one group's card: whose, which way, with whom, by which services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yamori.model.filter_rule import Direction, Network
from yamori.modules.firewall.carried.lost import Lost
from yamori.modules.firewall.groups import Allow, At
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6, collapsed, excepted
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import ANY, Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """``owner`` is the group at whose cards it holds; ``peers`` are the words of the other side."""

    rule: Allow
    owner: str
    way: Direction
    peers: tuple[str, ...]
    matches: tuple[Match, ...]
    less: tuple[Network, ...] = ()


def sides(groups: Groups) -> Iterator[Side]:
    """Return the sides of all rules, in order."""
    for rule in groups.firewall.rules:
        matches = tuple(dict.fromkeys(match for word in rule.services for match in groups.matches(word)))
        less = collapsed(each for word in rule.except_ or () for each in groups.addresses(word) or ())
        for way, owners, peers, wanted in (
            (Direction.IN, rule.to, rule.from_, At.TO),
            (Direction.OUT, rule.from_, rule.to, At.FROM),
        ):
            if rule.at in (At.BOTH, wanted):
                for owner in dict.fromkeys(owners):
                    if owner in groups.firewall.groups:
                        yield Side(rule=rule, owner=owner, way=way, peers=peers, matches=matches, less=less)


def peers_of(groups: Groups, side: Side, lost: list[Lost]) -> Iterator[str | Network]:
    """Return the other side one by one: ``any``, a group's name, or a prefix, less what the rule excepts."""
    for word in side.peers:
        listed = groups.addresses(word)
        if listed is None and side.less and word == ANY:
            listed = (EVERYTHING4, EVERYTHING6)
        if listed is not None:
            yield from excepted(collapsed(listed), side.less)
        elif side.less and word != ANY:
            why = "members of a group without some addresses have no word there"
            lost.append(Lost(what=f"rule {side.rule.id}: group {word}", why=why))
        else:
            yield word
