"""Who gets the processors: weighted max-min fair sharing with caps, pinning, and waiting in the run queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

WAKE_WAIT = 0.25
"""Seconds that a waking vCPU waits, per second of CPU it gets, for each vCPU too many per physical CPU.

A scheduler gives a light VM its whole share, but each time it wakes it waits behind those that run. The figure
is a choice: it lies between a scheduler that pre-empts at once (0) and one that ends each slice (1).
"""
EXACT_SETS = 8
"""With more distinct pin sets on one host, only the sets themselves and all CPUs together bound the shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CPU:
    """What each VM got, in cores, and how many seconds per second its vCPUs waited, summed over vCPUs."""

    granted: Floats
    delay: Floats


def share(want: Floats, weight: Floats, group: Ints, capacity: Floats) -> Floats:
    """Share each group's capacity among its rows: weighted max-min fair, nobody gets more than it wants.

    Progressive filling, as in Bertsekas and Gallager, Data Networks (1992), section 6.5.2, all groups at once.
    """
    total = np.bincount(group, want, minlength=capacity.size)
    granted = want.copy()
    rows = np.flatnonzero((total > capacity)[group] & (want > 0))
    left = capacity.astype(np.float64, copy=True)
    while rows.size:
        w, g, d = weight[rows], group[rows], want[rows]
        weights = np.bincount(g, w, minlength=capacity.size)
        level = np.divide(left, weights, out=np.zeros_like(left), where=weights > 0)
        fair = w * level[g]
        full = d <= fair
        if not full.any():
            granted[rows] = fair
            break
        left = np.maximum(left - np.bincount(g[full], d[full], minlength=capacity.size), 0.0)
        rows = rows[~full]
    return granted


def share_pinned(want: Floats, weight: Floats, sets: list[frozenset[int]], cpus: int) -> Floats:
    """Share one host's CPUs among VMs that may each run on a set of them only.

    A division is possible when for every union of pin sets the VMs confined to it get no more than its size
    (the polymatroid form of Hall's condition); filling goes on until one of these bounds holds a VM back.
    """
    bounds = [(np.array([s <= u for s in sets]), float(len(u))) for u in _unions(sets, cpus)]
    granted = np.zeros_like(want)
    active = want > 0
    while active.any():
        step = float(np.min((want - granted)[active] / weight[active]))
        for confined, size in bounds:
            growing = float(weight[confined & active].sum())
            if growing > 0:
                step = min(step, (size - float(granted[confined].sum())) / growing)
        granted[active] += max(step, 0.0) * weight[active]
        held = granted >= want - 1e-9
        for confined, size in bounds:
            if float(granted[confined].sum()) >= size - 1e-9:
                held |= confined
        active &= ~held
    return np.minimum(granted, want)


def _unions(sets: list[frozenset[int]], cpus: int) -> set[frozenset[int]]:
    distinct = list(dict.fromkeys(sets))
    found = {frozenset(range(cpus)), *distinct}
    if len(distinct) <= EXACT_SETS:
        for size in range(2, len(distinct) + 1):
            found |= {frozenset().union(*some) for some in combinations(distinct, size)}
    return found


def step(
    *,
    runnable: Floats,
    vcpus: Floats,
    cap: Floats,
    weight: Floats,
    host: Ints,
    cpus: Floats,
    pins: Mapping[int, frozenset[int]],
) -> CPU:
    """Divide the processors for one step. ``runnable`` and ``cap`` in cores; ``pins`` by row, where pinned."""
    runnable = np.minimum(runnable, vcpus)
    want = np.minimum(runnable, cap)
    granted = share(want, weight, host, cpus)
    pressure = np.bincount(host, want * weight, minlength=cpus.size)
    load = ((pressure[host] - want * weight) / weight + want) / cpus[host]
    for h in {int(host[row]) for row in pins}:
        here = np.flatnonzero((host == h) & (want > 0))
        count = int(cpus[h])
        sets = [pins.get(int(row), frozenset(range(count))) for row in here]
        granted[here] = share_pinned(want[here], weight[here], sets, count)
        load[here] = _load_where_pinned(want[here], weight[here], sets, count)
    wake = WAKE_WAIT * granted * np.maximum(load - 1.0, 0.0)
    delay = np.clip(runnable - granted + wake, 0.0, np.maximum(vcpus - granted, 0.0))
    return CPU(granted=granted, delay=np.where(runnable > 0, delay, 0.0))


def _load_where_pinned(want: Floats, weight: Floats, sets: list[frozenset[int]], cpus: int) -> Floats:
    spread = np.zeros((want.size, cpus))
    for i, members in enumerate(sets):
        spread[i, sorted(members)] = 1.0 / len(members)
    per_cpu = (want * weight) @ spread
    mean = (spread * per_cpu).sum(axis=1)
    own = ((spread * spread).sum(axis=1)) * want * weight
    return np.asarray((mean - own) / weight + own / weight, dtype=np.float64)
