"""What each VM usually uses: exponentially weighted mean and deviation, as columns, robust to single bursts."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Floats, Rate, Rates

OP_BYTES = 65536.0
"""Transfer that costs a disk about as much as one more operation."""
PACKET_BYTES = 1500.0


class Use(IntEnum):
    """What a VM takes of each resource, in the order of the objectives."""

    CPU = 0
    """Cores."""
    MEMORY = 1
    """Bytes that the guest fills: what is resident, or, if that is more, assigned less usable as the guest says.

    Under contention the host pages everybody out and even the cause has little resident; a guest that lies about
    what it can still use can hide in that, but not in what is resident."""
    DISK = 2
    """Operations per second, plus bytes per second / OP_BYTES: small and large requests on one scale."""
    NETWORK = 3
    """Packets per second sent, plus bytes per second / PACKET_BYTES."""


UNITS: tuple[str, ...] = ("cores", "B", "op/s", "pkt/s")
FLOORS: Floats = np.array([0.05, 64.0 * 2**20, 25.0, 200.0])
"""Deviations smaller than these matter to nobody: the smallest spread that is assumed."""
CLIP = 3.0
"""A reading farther than so many deviations from the mean is learned as if it were only so far."""


def use(rates: Rates, untrusted_usable: Floats) -> Floats:
    """Return what each VM uses now, shape (uses, VMs). ``untrusted_usable`` is the guest's word, bytes: it counts

    only within what the guest has been given, so that a lie is about the liar's own memory and no more.
    """
    values = rates.values
    taken = np.empty((len(Use), len(rates.vms)))
    taken[Use.CPU] = values[Rate.CPU_CORES]
    assigned = values[Rate.MEMORY_ASSIGNED_BYTES]
    filled = assigned - np.clip(untrusted_usable, 0.0, assigned)
    taken[Use.MEMORY] = np.fmax(values[Rate.MEMORY_RESIDENT_BYTES], filled)
    taken[Use.DISK] = values[Rate.DISK_IOPS] + values[Rate.DISK_BYTES_S] / OP_BYTES
    taken[Use.NETWORK] = values[Rate.NET_TX_PACKETS_S] + values[Rate.NET_TX_BYTES_S] / PACKET_BYTES
    return taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """Mean and mean absolute deviation of each use of each VM, and for how many seconds it was learned."""

    mean: Floats
    spread: Floats
    seconds: Floats
    odd_s: Floats
    """For how long, seconds, some use of the VM has been unusually high without a break."""

    def taken(self, previous: NDArray[np.int64]) -> "Baseline":
        """Return the same for other rows; -1 means a VM of which nothing is known."""
        stayed = previous >= 0
        return Baseline(
            mean=np.where(stayed, self.mean[:, previous], np.nan),
            spread=np.where(stayed, self.spread[:, previous], np.nan),
            seconds=np.where(stayed, self.seconds[previous], 0.0),
            odd_s=np.where(stayed, self.odd_s[previous], 0.0),
        )


def nothing(count: int) -> Baseline:
    """Return a baseline that knows nothing about ``count`` VMs."""
    blank = np.full((len(Use), count), np.nan)
    return Baseline(mean=blank, spread=blank, seconds=np.zeros(count), odd_s=np.zeros(count))


def surprise(baseline: Baseline, taken: Floats, floors: Floats = FLOORS) -> Floats:
    """Return how many usual deviations each use is above its usual, NaN where either is unknown."""
    return (taken - baseline.mean) / np.fmax(baseline.spread, floors[:, None])


def learn(
    baseline: Baseline,
    taken: Floats,
    odd: Floats,
    elapsed_s: Floats,
    skip: NDArray[np.bool_] | None,
    usual_s: float,
    floors: Floats = FLOORS,
) -> Baseline:
    """Learn one reading. ``elapsed_s`` is per VM; rows in ``skip`` are left as they are (trouble is not usual).

    ``odd`` is what ``surprise`` said of the reading. In the beginning the weight is that of a plain mean. A far
    reading counts as CLIP deviations, so that a burst moves the mean little, while a lasting new level widens
    the spread and is accepted in the end.
    """
    step = np.nan_to_num(elapsed_s)
    if skip is not None:
        step = np.where(skip, 0.0, step)
    weight = np.minimum(1.0, step / np.minimum(baseline.seconds + step + 1e-9, usual_s))
    with np.errstate(invalid="ignore"):
        width = np.fmax(baseline.spread, floors[:, None])
        moved = np.clip(odd, -CLIP, CLIP) * width
        fresh = np.isnan(baseline.mean)
        known = ~np.isnan(moved)
        mean = np.where(known, baseline.mean + weight * moved, np.where(fresh, taken, baseline.mean))
        wider = baseline.spread + weight * (np.abs(moved) - baseline.spread)
        spread = np.where(known, wider, np.where(fresh & ~np.isnan(taken), 0.0, baseline.spread))
    return Baseline(mean=mean, spread=spread, seconds=baseline.seconds + step, odd_s=baseline.odd_s)


def lasting(baseline: Baseline, odd: Floats, elapsed_s: Floats, threshold: float) -> Baseline:
    """Count for how long each VM has been unusual. An unknown reading neither counts nor clears."""
    with np.errstate(invalid="ignore"):
        highest = np.fmax.reduce(odd, axis=0)
        longer = np.where(highest > threshold, baseline.odd_s + np.nan_to_num(elapsed_s), 0.0)
    odd_s = np.where(np.isnan(highest), baseline.odd_s, longer)
    return Baseline(mean=baseline.mean, spread=baseline.spread, seconds=baseline.seconds, odd_s=odd_s)
