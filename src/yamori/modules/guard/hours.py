"""What each VM took at each hour of the day on earlier days: a batch night is no surprise the second time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from yamori.capabilities.sensing.rates import Floats
from yamori.model.ids import VMId
from yamori.modules.guard.window import Singles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hour:
    """One hour of the day: the highest smoothed use seen today, and on the days before."""

    day: date
    vms: tuple[VMId, ...]
    smooth: Singles
    today: Singles
    past: Singles
    older: bool = False
    """Whether anything is known of earlier days."""


Hours = Mapping[int, Hour]
SMOOTH_S = 60.0
"""Use is smoothed over so many seconds before its highest value is kept."""
FADE = 0.8
"""What is remembered of the days before fades by this factor each day."""


def keep(hours: Hours, at: datetime, vms: tuple[VMId, ...], taken: Floats, seconds: float) -> dict[int, Hour]:
    """Add one reading of all VMs. Only the block of this hour is touched."""
    now = taken.astype(np.float32)
    block = hours.get(at.hour)
    if block is None:
        blank = np.full_like(now, np.nan)
        block = Hour(day=at.date(), vms=vms, smooth=now, today=now, past=blank)
    elif block.vms is not vms and block.vms != vms:
        block = _aligned(block, vms)
    past, today, older = block.past, block.today, block.older
    if block.day != at.date():
        past = np.fmax(past * np.float32(FADE), today)
        today = np.full_like(now, np.nan)
        older = True
    weight = np.float32(min(1.0, seconds / SMOOTH_S))
    moved = block.smooth + weight * (now - block.smooth)
    smooth = np.where(np.isnan(moved), np.where(np.isnan(now), block.smooth, now), moved)
    fresh = Hour(day=at.date(), vms=vms, smooth=smooth, today=np.fmax(today, smooth), past=past, older=older)
    return {**hours, at.hour: fresh}


def _aligned(block: Hour, vms: tuple[VMId, ...]) -> Hour:
    known = dict(zip(block.vms, range(len(block.vms)), strict=True))
    rows = np.fromiter((known.get(vm, -1) for vm in vms), np.int64, len(vms))

    def taken(column: Singles) -> Singles:
        if not len(block.vms):
            return np.full((column.shape[0], len(vms)), np.nan, np.float32)
        return np.where(rows >= 0, column[:, rows], np.float32(np.nan))

    return replace(block, vms=vms, smooth=taken(block.smooth), today=taken(block.today), past=taken(block.past))


def usual_at(hours: Hours, at: datetime, vms: tuple[VMId, ...], row: int, resource: int) -> float:
    """Return what the VM in a row took at this hour on earlier days, NaN if nothing is known of them."""
    block = hours.get(at.hour)
    if block is None or not (block.older or block.day != at.date()):
        return float("nan")
    if block.vms is not vms:
        if vms[row] not in block.vms:
            return float("nan")
        row = block.vms.index(vms[row])
    column = block.past if block.day == at.date() else np.fmax(block.past, block.today)
    return float(column[resource, row])
