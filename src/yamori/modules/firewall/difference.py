"""What a new compilation changes: exactly the cards whose Filter, or its mode, is another than before."""

from __future__ import annotations

from dataclasses import dataclass

from yamori.model.filter_rule import Rule
from yamori.modules.firewall.compile import Compiled, Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Ports by what becomes of them, in order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def difference(old: Compiled | None, new: Compiled) -> Difference:
    """Compare two compilations. Rules that many cards share are compared once."""
    before = {} if old is None else old.cards
    known: dict[tuple[int, int], bool] = {}
    return Difference(
        added=tuple(sorted(new.cards.keys() - before.keys())),
        changed=tuple(
            port
            for port in sorted(new.cards.keys() & before.keys())
            if not _same(before[port], new.cards[port], known)
        ),
        removed=tuple(sorted(before.keys() - new.cards.keys())),
    )


def _same(old: Guarded, new: Guarded, known: dict[tuple[int, int], bool]) -> bool:
    if old.mode is not new.mode or not _rules_alike(old.filter.rules, new.filter.rules, known):
        return False
    one, other = old.filter, new.filter
    return all(
        getattr(one, name) == getattr(other, name) for name in type(one).__dataclass_fields__ if name != "rules"
    )


def _rules_alike(one: tuple[Rule, ...], other: tuple[Rule, ...], known: dict[tuple[int, int], bool]) -> bool:
    pair = id(one), id(other)  # both are held by the compilations that are compared, so ids stay theirs
    if pair not in known:
        known[pair] = one == other
    return known[pair]
