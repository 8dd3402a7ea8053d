"""Each rule of a document as it stands at one group's card: whose, which way, with whom, by which services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from yamori.model.filter_rule import Direction
from yamori.modules.firewall.groups import Allow, At
from yamori.modules.firewall.reading import Groups
from yamori.modules.firewall.service import Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """``owner`` is the group at whose cards it holds; ``peers`` are the words of the other side."""

    rule: Allow
    owner: str
    way: Direction
    peers: tuple[str, ...]
    matches: tuple[Match, ...]


def sides(groups: Groups) -> Iterator[Side]:
    """Return the sides of all rules, in order."""
    for rule in groups.firewall.rules:
        matches = tuple(dict.fromkeys(match for word in rule.services for match in groups.matches(word)))
        for way, owners, peers, wanted in (
            (Direction.IN, rule.to, rule.from_, At.TO),
            (Direction.OUT, rule.from_, rule.to, At.FROM),
        ):
            if rule.at in (At.BOTH, wanted):
                for owner in dict.fromkeys(owners):
                    if owner in groups.firewall.groups:
                        yield Side(rule=rule, owner=owner, way=way, peers=peers, matches=matches)
