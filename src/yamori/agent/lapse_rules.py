"""Which value of a limit is whose: ours, what held before, or another hand's. Pure."""

import math
from dataclasses import replace

from yamori.agent.lapse_file import Lapse, Value
from yamori.model.errors import Rejected, Unsupported
from yamori.model.limits import LimitKind, Limits

SAME = 0.02
"""Hypervisors keep limits in units of their own: values this close (fraction) are one."""
ROUNDED = 0.5
"""What is read back at once and differs by no more than this is our own value in the hypervisor's units."""


def same(kind: LimitKind, one: Value, other: Value) -> bool:
    """Say whether two values are one limit. A weight of 1 is none."""
    if kind is LimitKind.CPU_WEIGHT:
        one, other = (1.0 if one is None else one), (1.0 if other is None else other)
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=SAME)


def is_ours(lapse: Lapse, value: Value) -> bool:
    """Say whether a value that holds is one that we may have set."""
    return any(same(lapse.kind, value, each) for each in lapse.ours)


def held(lapse: Lapse, limits: Limits) -> Value:
    """Return what holds of the lapse's kind. Raises Rejected when it cannot be told."""
    if lapse.kind not in limits.values:
        why = limits.unknown.get(lapse.kind, "it is not told")
        raise Rejected(f"what holds now cannot be read: {why}", subject=lapse.vm)
    return limits.values[lapse.kind]


def begun(fresh: Lapse, earlier: Lapse | None, limits: Limits) -> Lapse:
    """Work out what goes back later: what held before our first setting, or what another hand has set since."""
    if fresh.kind not in limits.values:
        if earlier is None:
            raise Unsupported(
                f"limits.{fresh.kind}", limits.unknown.get(fresh.kind, "what holds is not told"), subject=fresh.vm
            )
        return replace(fresh, before=earlier.before, ours=(*earlier.ours[-8:], *fresh.ours))
    now = limits.values[fresh.kind]
    if earlier is not None and (is_ours(earlier, now) or same(fresh.kind, now, earlier.before)):
        return replace(fresh, before=earlier.before, ours=(*earlier.ours[-8:], *fresh.ours))
    return replace(fresh, before=now)


def settled(lapse: Lapse, asked: Value, limits: Limits) -> Lapse:
    """Once it is applied, only what was asked and what the hypervisor made of it is ours."""
    seen = limits.values.get(lapse.kind)
    rounded = (
        asked is not None and seen is not None and not same(lapse.kind, asked, seen)
        and math.isclose(asked, seen, rel_tol=ROUNDED)
    )  # fmt: skip
    return replace(lapse, ours=(asked, seen) if rounded else (asked,))
