"""What others changed by hand. Compares limits read back with what was found first and what we asked since."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from yamori.manifest.module import Hold
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, allowance

TOLERANCE = 0.03
"""Relative difference that is rounding by the hypervisor, not a change (a CPU quota has whole microseconds)."""


def differs(one: float | None, other: float | None) -> bool:
    """Say whether two limits are different beyond rounding. None is unlimited."""
    if one is None or other is None:
        return one is not other
    return abs(one - other) > TOLERANCE * max(abs(one), abs(other))


@dataclass(slots=True)
class Drift:
    """Remembers for each VM which limits were found at first sight, and tells what has changed since."""

    _found: dict[VMId, dict[LimitKind, float | None]] = field(default_factory=dict)
    _told: dict[VMId, dict[LimitKind, tuple[float | None, datetime]]] = field(default_factory=dict)

    def look(self, vm: VMId, limits: Limits, hold: Hold | None, now: datetime) -> tuple[str, ...]:
        """Take a fresh reading; return the changes, in words, that are new since the last look."""
        found = self._found.get(vm)
        if found is None:
            # First sight: what holds now is what was found, unless it is ours from before a restart.
            found = dict(limits.values)
            if hold is not None:
                found.update(hold.before)
            self._found[vm] = found
        expected = expected_limits(found, hold)
        told = self._told.setdefault(vm, {})
        new: list[str] = []
        for kind, value in limits.values.items():
            want = expected.get(kind)
            if kind not in expected:
                found[kind] = value
            elif not differs(value, want):
                told.pop(kind, None)
            elif kind not in told or differs(told[kind][0], value):
                told[kind] = (value, now)
                new.append(f"{kind}: {allowance(kind, want)} → {allowance(kind, value)}, not by Yamori")
        return tuple(new)

    def standing(self, vm: VMId) -> tuple[str, ...]:
        """Return what stands changed by hand on a VM, in words."""
        return tuple(
            f"{kind} is {allowance(kind, value)} since {at:%H:%M:%S}, not by Yamori"
            for kind, (value, at) in sorted(self._told.get(vm, {}).items())
        )

    def on_hold(self, vm: VMId, hold: Hold) -> bool:
        """Say whether somebody has changed what our hold on a VM set."""
        return any(kind in self._told.get(vm, {}) for kind in hold.asked)

    def forget(self, keep: Mapping[VMId, object]) -> None:
        """Drop what is known of VMs that no longer exist."""
        for table in (self._found, self._told):
            for vm in [vm for vm in table if vm not in keep]:
                del table[vm]


def expected_limits(found: Mapping[LimitKind, float | None], hold: Hold | None) -> dict[LimitKind, float | None]:
    """Return what should hold: what was found, overlaid by what we asked where that is stricter."""
    expected = dict(found)
    if hold is not None:
        for kind, asked in hold.asked.items():
            before = hold.before.get(kind)
            expected[kind] = asked if before is None else min(asked, before)
    return expected
