"""One reading worked out in columns: rates, standing, use, surprise. The hot path: no loop over VMs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Floats, Rates, Residence, memory_lost, rates
from yamori.capabilities.sensing.usage import Column, UsageFrame
from yamori.manifest.module import FleetView
from yamori.model.ids import HostId
from yamori.modules.guard import baseline, standing, window
from yamori.modules.guard.gaps import bridge
from yamori.modules.guard.hours import Hour, keep
from yamori.modules.guard.memory import Groups, GuardMemory, group
from yamori.modules.guard.sense import Observation
from yamori.modules.guard.settings import GuardSettings

HOURS_EVERY = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """Everything known about this moment. Two-dimensional arrays: resource by row of ``frame``.

    ``broken`` tells which objectives are broken at this reading, ``suffers`` which ones often enough to count.
    """

    frame: UsageFrame
    view: FleetView
    missing: Mapping[HostId, str]
    rates: Rates
    residence: Residence
    measured: Floats
    bounds: Floats
    standing: NDArray[np.int8]
    broken: NDArray[np.bool_]
    suffers: NDArray[np.bool_]
    taken: Floats
    odd: Floats
    usual: baseline.Baseline
    """As it was before this reading."""
    groups: Groups
    numbers: Mapping[HostId, int]
    """Index of each host of the frame."""


def read(observation: Observation, memory: GuardMemory, settings: GuardSettings) -> tuple[GuardMemory, Reading]:
    """Work out one reading. Returns the memory with all columns carried on; cases are still the old ones."""
    before = observation.frame if memory.frame is None else memory.frame
    frame = bridge(before, observation.frame, settings.blind_s)
    r = rates(before, frame)
    if r.aligned and frame.vms is not before.vms:
        frame = replace(frame, vms=before.vms)  # the same names as one object: telling them apart costs nothing
    previous = None if r.aligned else r.previous
    residence, lost = memory_lost(memory.residence, r, frame)
    promised = standing.promises(observation.view, frame.vms, memory.promises, aligned=r.aligned)
    measured = standing.values(r, lost)
    now = standing.standing(measured, promised.bounds)
    record = standing.record(memory.record, now, previous, settings.stale_ticks)
    taken = baseline.use(r, frame.column(Column.MEMORY_USABLE))
    usual = _carried(memory, frame, previous)
    odd = baseline.surprise(usual, taken)
    with np.errstate(invalid="ignore"):
        filled = (measured / promised.bounds).astype(np.float32)
    moment = window.Moment(taken=taken.astype(np.float32), filled=filled, previous=previous)
    groups = memory.groups if memory.groups is not None and r.aligned else group(frame)
    suffers = standing.suffering(record, settings.broken_ticks, settings.of_ticks)
    seconds = r.elapsed_s[frame.host_of] if len(frame.hosts) else np.empty(0)
    skip = _troubled(frame, suffers, observation.view)
    learned = baseline.learn(usual, taken, odd, seconds, skip, settings.usual_s)
    learned = baseline.lasting(learned, odd, seconds, settings.unusual)
    typical = float(np.nanmedian(r.elapsed_s)) if np.isfinite(r.elapsed_s).any() else 0.0
    carried = GuardMemory(
        frame=frame,
        residence=residence,
        promises=promised,
        record=record,
        baseline=learned,
        groups=groups,
        window=window.add(memory.window, moment, settings.window_ticks),
        hours=_hours(memory, frame, taken, typical),
        cases=memory.cases,
        readings=memory.readings + 1,
    )
    reading = Reading(
        frame=frame,
        view=observation.view,
        missing=observation.missing,
        rates=r,
        residence=residence,
        measured=measured,
        bounds=promised.bounds,
        standing=now,
        broken=now == standing.Standing.BROKEN,
        suffers=suffers,
        taken=taken,
        odd=odd,
        usual=usual,
        groups=groups,
        numbers={host: index for index, host in enumerate(frame.hosts)},
    )
    return carried, reading


def _hours(memory: GuardMemory, frame: UsageFrame, taken: Floats, typical: float) -> Mapping[int, Hour]:
    """Keep the hours up to date, at every HOURS_EVERY-th reading only: they change slowly."""
    if memory.readings % HOURS_EVERY:
        return memory.hours
    return keep(memory.hours, frame.wall, frame.vms, taken, HOURS_EVERY * typical)


def _carried(memory: GuardMemory, frame: UsageFrame, previous: NDArray[np.int64] | None) -> baseline.Baseline:
    """Return what is usual for the rows of this frame. It belongs to the VM and moves with it to another host."""
    known = memory.baseline
    if known is None or memory.frame is None or not len(known.seconds):
        return baseline.nothing(len(frame.vms))
    if previous is None:
        return known
    fresh = np.flatnonzero(previous < 0)
    if len(fresh):
        earlier = dict(zip(memory.frame.vms, range(len(memory.frame.vms)), strict=True))
        previous = previous.copy()
        previous[fresh] = [earlier.get(frame.vms[row], -1) for row in fresh.tolist()]
    return known.taken(previous)


def _troubled(frame: UsageFrame, suffers: NDArray[np.bool_], view: FleetView) -> NDArray[np.bool_] | None:
    """Return the rows that show nothing usual now: those on hosts where anybody suffers or is held."""
    rows = np.flatnonzero(suffers.any(axis=0))
    hosts = np.zeros(len(frame.hosts), bool)
    hosts[frame.host_of[rows]] = True
    held = {vm.host for vm in (view.vms.get(hold) for hold in view.holds) if vm is not None}
    if held:
        hosts |= np.array([h in held for h in frame.hosts], bool)
    return hosts[frame.host_of] if hosts.any() else None
