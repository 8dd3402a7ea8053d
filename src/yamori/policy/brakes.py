"""How much may happen at once and in a while, whatever the rules allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from yamori.model.actions import Action, Effect, Release
from yamori.model.ids import VMId
from yamori.policy.facts import Deed, Facts
from yamori.policy.quantities import Seconds
from yamori.policy.selectors import STRICT

Most = Annotated[int, Field(ge=0, le=1_000_000)]


class Bounds(BaseModel):
    """Upper bounds: over the whole fleet, per site, per host. A missing one does not bound."""

    model_config = STRICT

    fleet: Most | None = Field(default=None, description="Over the whole fleet.")
    site: Most | None = Field(default=None, description="On the VM's site.")
    host: Most | None = Field(default=None, description="On the VM's host.")


class Window(Bounds):
    """Upper bounds on the actions begun within a span of time."""

    within: Seconds = Field(description="How far back the actions are counted.")


class Brake(BaseModel):
    """Bounds on VMs with an action in force at once, and on actions begun in a window."""

    model_config = STRICT

    at_once: Bounds = Field(default=Bounds(), description="VMs with an action in force at the same time.")
    window: Window | None = Field(default=None, description="Actions begun in a span of time.")


_EVERY = Brake.model_validate(
    {"at_once": {"fleet": 50, "host": 8}, "window": {"within": "5m", "fleet": 30, "host": 10}}
)
_DISRUPTIVE = Brake.model_validate({"at_once": {"fleet": 2, "host": 1}, "window": {"within": "1h", "fleet": 10}})


class Brakes(BaseModel):
    """Bounds on every action, and further ones on disruptive actions alone.

    A throttle that replaces ours on the same VM is no new action: it is bounded by ``adjustments`` only.
    A release is never held back.
    """

    model_config = STRICT

    every: Brake = Field(
        default=_EVERY,
        description="Bounds on every action.",
    )
    disruptive: Brake = Field(
        default=_DISRUPTIVE,
        description="Further bounds on disruptive actions.",
    )
    adjustments: Most = Field(default=30, description="Throttles of one VM, replaced or new, within five minutes.")

    def longest_window(self) -> float:
        """Return how many seconds back ``Facts.recent`` must reach."""
        windows = [brake.window.within for brake in (self.every, self.disruptive) if brake.window is not None]
        return max([*windows, ADJUSTMENT_WINDOW_S])


ADJUSTMENT_WINDOW_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Which brake holds an action back, and why."""

    name: str
    why: str


def held_back(action: Action, facts: Facts, brakes: Brakes) -> Held | None:
    """Return the first brake that holds this action back, None when it may go."""
    if isinstance(action, Release):
        return None
    disruptive = Effect.DISRUPTIVE in action.effects
    if not disruptive and any(d.vm == action.vm and d.verb == action.verb for d in facts.in_force):
        return _adjusting(action, facts, brakes)
    held = _over(action, facts, brakes.every, "every", facts.in_force, facts.recent)
    if held is None and disruptive:
        in_force = [d for d in facts.in_force if Effect.DISRUPTIVE in d.effects]
        recent = [d for d in facts.recent if Effect.DISRUPTIVE in d.effects]
        held = _over(action, facts, brakes.disruptive, "disruptive", in_force, recent)
    return held


def _adjusting(action: Action, facts: Facts, brakes: Brakes) -> Held | None:
    lately = _since(facts.recent, facts.now, ADJUSTMENT_WINDOW_S)
    mine = [d for d in lately if (d.vm, d.verb) == (action.vm, action.verb)]
    if len(mine) < brakes.adjustments:
        return None
    why = f"{len(mine)} throttles of this VM within 5m, at most {brakes.adjustments}"
    return Held(name="adjustments", why=why)


def _over(
    action: Action, facts: Facts, brake: Brake, name: str, in_force: Sequence[Deed], recent: Sequence[Deed]
) -> Held | None:
    others = {(d.vm, d.host, d.site) for d in in_force if d.vm != action.vm}
    for scope, most, where in _bounds(brake.at_once):
        vms = {vm for vm, host, site in others if _inside(scope, facts, host, site)}
        if len(vms) >= most:
            why = f"{len(vms)} other VMs {where} have an action in force, at most {most} may at once"
            return Held(name=f"{name}.at_once.{scope}", why=why)
    if brake.window is None:
        return None
    begun = list(_begun(_since(recent, facts.now, brake.window.within)))
    for scope, most, where in _bounds(brake.window):
        number = sum(_inside(scope, facts, d.host, d.site) for d in begun)
        if number >= most:
            why = f"{number} actions {where} were begun within {brake.window.within:g}s, at most {most} may"
            return Held(name=f"{name}.window.{scope}", why=why)
    return None


def _begun(deeds: Sequence[Deed]) -> Iterator[Deed]:
    """Leave out releases, and throttles that replace one of the same VM that was not released in between."""
    held: set[VMId] = set()
    for deed in sorted(deeds, key=lambda d: (d.at, d.vm, d.verb)):
        if deed.verb == Release.verb:
            held.discard(deed.vm)
        elif Effect.DISRUPTIVE in deed.effects:
            yield deed
        elif deed.vm not in held:
            held.add(deed.vm)
            yield deed


def _bounds(most: Bounds) -> Iterator[tuple[str, int, str]]:
    if most.fleet is not None:
        yield "fleet", most.fleet, "of the fleet"
    if most.site is not None:
        yield "site", most.site, "on this site"
    if most.host is not None:
        yield "host", most.host, "on this host"


def _inside(scope: str, facts: Facts, host: str | None, site: str | None) -> bool:
    """Say whether a deed counts. One whose own or whose counterpart's place is not known counts everywhere."""
    if scope == "fleet":
        return True
    if scope == "site":
        mine = None if facts.host is None else facts.host.site
        return mine is None or site is None or mine == site
    here = None if facts.vm is None else facts.vm.host
    return here is None or host is None or here == host


def _since(deeds: Sequence[Deed], now: datetime, within_s: float) -> list[Deed]:
    edge = now - timedelta(seconds=min(within_s, 10 * 365 * 86400.0))
    return [deed for deed in deeds if deed.at > edge]
