"""Rules that are read in order, of which some deny, as allowances without an order.

What cannot be said exactly is left out and told: never is an allowance carried over whole that was denied in part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from yamori.model.filter_rule import Network, Span
from yamori.modules.firewall.carried.sheet import Sheet
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6, without
from yamori.modules.firewall.service import Match

MOST_DENIALS = 500
"""An allowance is compared with so many denials before it; behind more it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a rule. ``groups`` and ``networks`` both None: anybody."""

    groups: tuple[str, ...] | None = None
    networks: tuple[Network, ...] | None = None

    @property
    def anybody(self) -> bool:
        """Say whether everybody is meant."""
        return self.groups is None and (self.networks is None or {EVERYTHING4, EVERYTHING6} <= set(self.networks))


ANYBODY = Party()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule, one way: ``owner`` is whose card, ``peer`` the other side, of whom ``less`` are not meant."""

    title: str
    allow: bool
    peer: Party = ANYBODY
    owner: Party = ANYBODY
    matches: tuple[Match, ...] = (Match(),)
    less: tuple[Network, ...] = ()

    @property
    def everything(self) -> bool:
        """Say whether no packet passes it by."""
        return self.peer.anybody and self.owner.anybody and any(match == Match() for match in self.matches)


def allowances(sheet: Sheet, steps: Iterable[Step], *, otherwise: bool, title: str) -> tuple[list[Step], bool]:
    """Return what is allowed, and whether all else is. ``otherwise``: whether it is at the end of the list."""
    found: list[Step] = []
    denials: list[Step] = []
    for step in steps:
        if step.everything:
            otherwise = step.allow
            break  # whatever comes after it is never reached
        if not step.allow:
            denials.append(step)
            continue
        left = _less(step, denials)
        if left is None:
            what = f"rule {step.title}"
            sheet.lose(
                what, f"{_before(step, denials)} before it denies some of it, and denials have no place here"
            )
        else:
            found.append(left)
    if otherwise and denials:
        rest = _less(Step(title=f"{title} otherwise", allow=True), denials)
        otherwise = False
        if rest is not None:
            found.append(rest)
        else:
            why = f"{_before(Step(title='', allow=True), denials)} denies some of it: it is closed instead"
            sheet.lose(f"{title}: what no rule names passes", why)
    return joined(found), otherwise


def joined(steps: Iterable[Step]) -> list[Step]:
    """Join allowances that differ in the other side's prefixes only: a card takes few rules of many prefixes."""
    found: dict[object, Step] = {}
    for step in steps:
        key: object = id(step)
        if step.peer.networks is not None and step.peer.groups is None:
            key = (step.owner, step.matches, step.less)
        known = found.get(key)
        if known is not None:
            step = replace(known, peer=Party(networks=(*(known.peer.networks or ()), *(step.peer.networks or ()))))
        found[key] = step
    return list(found.values())


def _before(step: Step, denials: list[Step]) -> str:
    return next((f"rule {each.title}" for each in denials if _meet(each, step)), "a rule")


def _less(step: Step, denials: list[Step]) -> Step | None:
    """Return an allowance less what was denied before; None when that cannot be said."""
    if len(denials) > MOST_DENIALS:
        return None
    for denial in denials:
        if not _meet(denial, step):
            continue
        whole = denial.owner.anybody and any(match == Match() for match in denial.matches)
        if not whole or denial.peer.networks is None or denial.peer.groups is not None:
            return None
        if step.peer.groups is not None:
            step = replace(step, less=(*step.less, *denial.peer.networks))
            continue
        before = step.peer.networks if step.peer.networks is not None else (EVERYTHING4, EVERYTHING6)
        left = tuple(part for each in before for part in without(each, denial.peer.networks))
        step = replace(step, peer=Party(networks=left))
    return step


def _meet(one: Step, other: Step) -> bool:
    """Say whether there may be a packet that both mean."""
    return (
        _parties_meet(one.peer, other.peer)
        and _parties_meet(one.owner, other.owner)
        and any(_services_meet(a, b) for a in one.matches for b in other.matches)
    )


def _parties_meet(one: Party, other: Party) -> bool:
    if one.networks is None or other.networks is None or one.groups is not None or other.groups is not None:
        return True  # who is in a group is not known here
    return any(a.version == b.version and a.overlaps(b) for a in one.networks for b in other.networks)


def _services_meet(one: Match, other: Match) -> bool:
    if None not in (one.protocol, other.protocol) and one.protocol != other.protocol:
        return False
    if one.types and other.types and not set(one.types) & set(other.types):
        return False
    return _spans_meet(one.ports, other.ports) and _spans_meet(one.client_ports, other.client_ports)


def _spans_meet(one: tuple[Span, ...], other: tuple[Span, ...]) -> bool:
    return not one or not other or any(a.low <= b.high and b.low <= a.high for a in one for b in other)
