"""Before anything is applied: which flows that were seen would be treated otherwise than now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from yamori.modules.firewall.compile import Compiled, Guarded
from yamori.modules.firewall.difference import Difference, difference
from yamori.modules.firewall.flow import Flow, judged
from yamori.modules.firewall.groups import Mode
from yamori.modules.firewall.trace import NO_FILTER, Told, explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One flow whose fate changes, with what decides before and after."""

    flow: Flow
    before: Told
    after: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What applying would do. ``unknown``: flows at cards that the new compilation does not know: not judged."""

    cards: Difference
    judged: int
    opened: tuple[Change, ...]
    closed: tuple[Change, ...]
    unknown: tuple[Flow, ...]


def plan(old: Compiled | None, new: Compiled, flows: Iterable[Flow], *, as_if_enforced: bool = False) -> Plan:
    """Judge flows by what holds now (None: nothing) and by what would hold.

    A card that only observes drops nothing; with ``as_if_enforced`` the new Filters are judged as if every group
    enforced, which is what to look at before the mode is changed.
    """
    changes = difference(old, new)
    touched = {*changes.added, *changes.changed}
    opened: list[Change] = []
    closed: list[Change] = []
    unknown: list[Flow] = []
    count = 0
    for flow in flows:
        guarded = new.cards.get(flow.card)
        if guarded is None:
            unknown.append(flow)
            continue
        count += 1
        if flow.card not in touched and not as_if_enforced:
            continue
        before = _fate(old, None if old is None else old.cards.get(flow.card), flow, enforced=False)
        after = _fate(new, guarded, flow, enforced=as_if_enforced)
        if before.allowed != after.allowed:
            (opened if after.allowed else closed).append(Change(flow=flow, before=before, after=after))
    return Plan(cards=changes, judged=count, opened=tuple(opened), closed=tuple(closed), unknown=tuple(unknown))


def _fate(compiled: Compiled | None, guarded: Guarded | None, flow: Flow, *, enforced: bool) -> Told:
    if compiled is None or guarded is None:
        return Told(allowed=True, rule=NO_FILTER, words="no filter is at this card")
    told = explain(compiled, guarded, judged(guarded.filter, flow))
    if guarded.mode is Mode.OBSERVE and not enforced and not told.allowed:
        return Told(allowed=True, rule=told.rule, words=f"only observed; else: {told.words}", origin=told.origin)
    return told
