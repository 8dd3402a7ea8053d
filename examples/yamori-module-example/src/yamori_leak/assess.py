"""From frames to findings. Pure: what it remembers is a value that it gets and gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.ids import FindingId, VMId
from yamori_leak.settings import LeakSettings

SLOWLY = 0.1
"""Weight of a new reading in the usual rate (exponentially weighted mean)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What one VM usually sends, in bytes per second; from how many readings; how many were unusual in a row."""

    usual: float
    readings: int = 1
    unusual: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the module remembers between two readings."""

    last: UsageFrame | None = None
    habits: Mapping[VMId, Habit] = field(default_factory=dict)
    open: Mapping[VMId, Finding] = field(default_factory=dict)


def assess(frame: UsageFrame, memory: Memory, settings: LeakSettings) -> tuple[Memory, list[Finding]]:
    """Judge one frame. Returns what is still open, and what has just closed."""
    if memory.last is None:
        return replace(memory, last=frame), []
    rates = sending(memory.last, frame)
    known = int(np.count_nonzero(~np.isnan(rates)))
    coverage = Coverage(examined=known, of=len(frame.vms))
    habits: dict[VMId, Habit] = {}
    findings: dict[VMId, Finding] = {}
    closed: list[Finding] = []
    for row, vm in enumerate(frame.vms):
        habit, rate = memory.habits.get(vm), float(rates[row])
        already = memory.open.get(vm)
        if np.isnan(rate):
            # Not known is no reason to believe anything new, neither that it began nor that it is over.
            if habit is not None:
                habits[vm] = habit
            if already is not None:
                findings[vm] = already
            continue
        habits[vm] = habit = learn(habit, rate, settings)
        if habit.unusual >= settings.patience:
            findings[vm] = describe(vm, rate, habit, already, frame, coverage)
        elif already is not None:
            closed.append(replace(already, updated_at=frame.wall, closed_at=frame.wall))
    return Memory(last=frame, habits=habits, open=findings), [*findings.values(), *closed]


def sending(before: UsageFrame, after: UsageFrame) -> NDArray[np.float64]:
    """Return what each VM of ``after`` sent, in bytes per second; NaN where that is not known."""
    where = {vm: row for row, vm in enumerate(before.vms)}
    rows = np.array([where.get(vm, -1) for vm in after.vms], dtype=np.intp)
    grown = np.full(len(after.vms), np.nan)
    there = np.flatnonzero(rows >= 0)
    old = before.column(Column.NET_TX_BYTES)[rows[there]]
    seconds = after.read_at[after.host_of[there]] - before.read_at[before.host_of[rows[there]]]
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (after.column(Column.NET_TX_BYTES)[there] - old) / seconds
    # A counter that fell began anew; a clock that stood still says nothing.
    grown[there] = np.where((rate >= 0) & (seconds > 0), rate, np.nan)
    return grown


def learn(habit: Habit | None, rate: float, settings: LeakSettings) -> Habit:
    """Take one reading into a VM's habit. What is unusual does not become usual."""
    if habit is None:
        return Habit(usual=rate)
    strange = rate > settings.floor_bytes_s and rate > settings.factor * habit.usual
    if strange and habit.readings >= settings.learn:
        return replace(habit, unusual=habit.unusual + 1)
    usual = habit.usual + SLOWLY * (rate - habit.usual)
    return Habit(usual=usual, readings=habit.readings + 1, unusual=0)


def describe(
    vm: VMId, rate: float, habit: Habit, already: Finding | None, frame: UsageFrame, coverage: Coverage
) -> Finding:
    """Make a finding, or bring the one that is open up to date."""
    opened: datetime = frame.wall if already is None else already.opened_at
    return Finding(
        id=FindingId(f"leak-{vm}-{opened:%Y%m%dT%H%M%S%f}"),
        key=f"leak:{vm}",
        module="leak",
        kind="leak.unusual_sending",
        severity=Severity.HIGH,
        confidence=min(0.9, 0.5 + 0.1 * habit.unusual),
        summary=f"sends {rate / 1e6:.1f} MB/s, usually {habit.usual / 1e6:.3f} MB/s",
        host=frame.hosts[int(frame.host_of[frame.vms.index(vm)])],
        cause=vm,
        victims=(),
        resource="network",
        nature="unknown",
        evidence=(Evidence(what="bytes sent", subject=vm, value=rate, unit="B/s", usual=habit.usual),),
        coverage=coverage,
        opened_at=opened,
        updated_at=frame.wall,
        techniques=("T1048",),
    )
