"""How well each VM is served against what its class promises, as columns. Unknown is never kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Floats, Rates, measured
from yamori.manifest.module import FleetView
from yamori.model.ids import VMId
from yamori.model.sla import Objective, SLAClass
from yamori.model.vm import VM

OBJECTIVES: tuple[Objective, ...] = tuple(Objective)
RESOURCES: tuple[str, ...] = ("cpu", "memory", "disk", "network")
"""The resource behind each objective, in the same order."""


class Standing(IntEnum):
    """Whether an objective is kept now."""

    NOT_PROMISED = 0
    UNKNOWN = 1
    KEPT = 2
    BROKEN = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Promises:
    """What each VM is promised: ``bounds[o, i]`` is the bound of objective ``o`` for row ``i``, inf if none.

    Remembers from what it was made, so that it is made anew only when that has changed.
    """

    bounds: Floats
    vms: tuple[VMId, ...]
    known: Mapping[VMId, VM]
    classes: Mapping[str, SLAClass]


def promises(view: FleetView, vms: tuple[VMId, ...], last: Promises | None, *, aligned: bool) -> Promises:
    """Look up what each VM is promised. A VM of no known class is promised nothing."""
    if last is not None and aligned and last.known is view.vms and last.classes is view.classes:
        return last
    names = {name: index + 1 for index, name in enumerate(view.classes)}
    table = np.full((len(names) + 1, len(OBJECTIVES)), np.inf)
    for index, sla in enumerate(view.classes.values()):
        table[index + 1] = [sla.objectives.get(o, np.inf) for o in OBJECTIVES]
    known = view.vms
    found = (known.get(vm) for vm in vms)
    numbers = (0 if vm is None else names.get(vm.labels.get("sla", ""), 0) for vm in found)
    rows = np.fromiter(numbers, np.int64, len(vms))
    bounds = np.ascontiguousarray(table[rows].T)
    return Promises(bounds=bounds, vms=vms, known=view.vms, classes=view.classes)


def values(rates: Rates, lost: Floats) -> Floats:
    """Return the measured value of each objective, shape (objectives, VMs)."""
    found = measured(rates, lost)
    return np.stack([found[o] for o in OBJECTIVES])


def standing(measured: Floats, bounds: Floats) -> NDArray[np.int8]:
    """Return the Standing of each objective of each VM."""
    promised = np.isfinite(bounds)
    with np.errstate(invalid="ignore"):
        told = np.where(measured > bounds, Standing.BROKEN, Standing.KEPT)
    told = np.where(np.isnan(measured), Standing.UNKNOWN, told)
    return np.where(promised, told, Standing.NOT_PROMISED).astype(np.int8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """The last eight known readings of each objective as bits (1 = broken), and how long none was known."""

    bits: NDArray[np.uint8]
    unknown: NDArray[np.uint8]


def record(last: Record | None, now: NDArray[np.int8], previous: NDArray[np.int64] | None, stale: int) -> Record:
    """Add this reading. An unknown one neither accuses nor clears; too many of them in a row clear.

    ``previous`` gives for each row its row in ``last``, -1 for a new one; None when nothing moved.
    """
    if last is None or not last.bits.shape[1]:
        bits, unknown = np.zeros(now.shape, np.uint8), np.zeros(now.shape, np.uint8)
    elif previous is None:
        bits, unknown = last.bits, last.unknown
    else:
        stayed = previous >= 0
        bits = np.where(stayed, last.bits[:, previous], 0).astype(np.uint8)
        unknown = np.where(stayed, last.unknown[:, previous], 0).astype(np.uint8)
    blank = now == Standing.UNKNOWN
    shifted = np.left_shift(bits, 1) | (now == Standing.BROKEN)
    unknown = np.where(blank, np.minimum(unknown, 254) + 1, 0).astype(np.uint8)
    bits = np.where(blank, bits, shifted)
    bits = np.where((unknown >= stale) | (now == Standing.NOT_PROMISED), 0, bits).astype(np.uint8)
    return Record(bits=bits, unknown=unknown)


_ONES = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def suffering(record: Record, broken: int, of: int) -> NDArray[np.bool_]:
    """Tell which objectives of which VMs were broken in at least ``broken`` of the last ``of`` readings."""
    enough: NDArray[np.bool_] = _ONES[record.bits & ((1 << of) - 1)] >= broken
    return enough
