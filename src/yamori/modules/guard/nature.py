"""Load or attack: judges the shape of what a cause does. Says unknown when unsure; harms nobody by itself."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from yamori.modules.guard.window import Singles

YOUNG_S = 30.0
"""Of a VM known for less than this, it cannot be said what is new."""
NEWCOMER_S = 10.0
"""A VM that came this much later than the others is new; else it is only our watching that is."""
DEEP = 8.0
"""Requests under way at once on average: a copy or a backup keeps one or a few, a thrasher as many as it can."""
HIJACKING = "T1496"
"""MITRE ATT&CK: Resource Hijacking."""
ENDPOINT_DOS = "T1499"
"""MITRE ATT&CK: Endpoint Denial of Service."""
NETWORK_DOS = "T1498"
"""MITRE ATT&CK: Network Denial of Service."""


class Nature(StrEnum):
    """What the cause looks like."""

    ATTACK = "attack"
    LOAD = "load"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """What a cause does now; NaN where unknown. ``series`` is its use of the resource, oldest first.

    ``known_s`` is for how long it has been watched, ``watching_s`` for how long anybody has: a VM is new only
    when others were there before it. ``traffic_rise`` and ``cpu_rise`` are its packets and its CPU use now, as
    multiples of its usual; NaN while that is not known. ``delay`` is its own CPU delay per vCPU, ``surprise`` how
    many usual deviations the use is above its usual. ``hour_usual`` is what it took at this hour on earlier days.
    """

    resource: str
    vcpus: float
    cpu_cores: float
    delay: float
    disk_iops: float
    disk_bytes_s: float
    disk_latency_s: float
    tx_packets_s: float
    tx_bytes_s: float
    rx_packets_s: float
    assigned_bytes: float
    surprise: float
    taken: float
    hour_usual: float
    known_s: float
    watching_s: float
    traffic_rise: float
    cpu_rise: float
    series: Singles


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The nature, the ATT&CK techniques that fit, and the signs that were found, in words."""

    nature: Nature
    techniques: tuple[str, ...]
    signs: tuple[str, ...]


def judge(conduct: Conduct) -> Judgement:
    """Weigh the signs of an attack against those of ordinary load.

    An attack needs the shape of one (a saturated resource without the side effects of work) and two more signs:
    sudden, steady, unlike its own history. One sign of ordinary work makes it unknown, two make it load.
    """
    shape, techniques = _shape(conduct)
    against = [*shape, *_onset(conduct)]
    ordinary = _ordinary(conduct)
    if shape and len(against) >= 3 and not ordinary and conduct.known_s >= YOUNG_S:
        return Judgement(nature=Nature.ATTACK, techniques=techniques, signs=tuple(against))
    if len(ordinary) >= 2 or (ordinary and not shape):
        return Judgement(nature=Nature.LOAD, techniques=(), signs=tuple(ordinary))
    return Judgement(nature=Nature.UNKNOWN, techniques=(), signs=(*against, *ordinary))


def _shape(c: Conduct) -> tuple[list[str], tuple[str, ...]]:
    """Return the sign that the resource is saturated in the way of an attack, and the techniques it fits."""
    silent = (_below(c.tx_packets_s, 100) and _below(c.rx_packets_s, 100)) or c.traffic_rise < 0.5 * c.cpu_rise
    if c.resource == "cpu" and _pinned(c) and silent and _below(c.disk_bytes_s, 256e3):
        return ["all vCPUs busy without disk or network"], (HIJACKING,)
    if c.resource == "memory" and c.taken >= 0.8 * c.assigned_bytes and silent:
        return ["fills all its memory without serving anybody"], (ENDPOINT_DOS,)
    if c.resource == "disk" and c.disk_iops >= 50 and c.disk_bytes_s <= 16384 * c.disk_iops:
        return ["small requests without pause"], (ENDPOINT_DOS,)
    if c.resource == "disk" and _depth(c) >= DEEP:
        return ["many requests at once without pause"], (ENDPOINT_DOS,)
    one_way = c.tx_packets_s >= 500 and c.tx_packets_s >= 10 * max(c.rx_packets_s, 1.0)
    if c.resource == "network" and one_way and c.tx_bytes_s <= 256 * c.tx_packets_s:
        return ["small packets in one direction"], (NETWORK_DOS,)
    return [], ()


def _onset(c: Conduct) -> list[str]:
    signs = []
    known = c.series[~np.isnan(c.series)].astype(float)
    if len(known) >= 3 and _sudden(known):
        signs.append("began from one reading to the next")
    if len(known) >= 3 and _steady(known[-3:]):
        signs.append("does not vary")
    if c.surprise >= 6.0 and not c.taken <= 1.5 * c.hour_usual:
        signs.append("unlike its own history")
    return signs


def _ordinary(c: Conduct) -> list[str]:
    signs = []
    if c.known_s < YOUNG_S and c.watching_s - c.known_s >= NEWCOMER_S:
        signs.append("has only just started")
    if c.taken <= 1.5 * c.hour_usual:
        signs.append("does so at this hour")
    answered = c.rx_packets_s >= 50 and c.tx_packets_s <= 5 * c.rx_packets_s
    if c.resource in ("cpu", "network") and answered and not c.traffic_rise < 0.5 * c.cpu_rise:
        signs.append("answers requests")
    large = c.disk_bytes_s >= 65536 * max(c.disk_iops, 1.0) and c.disk_bytes_s >= 1e6
    if c.resource == "disk" and large and not _depth(c) >= DEEP:
        signs.append("reads or writes in large pieces")
    if c.resource == "cpu" and c.disk_bytes_s >= 1e6:
        signs.append("works on its disk")
    return signs


def _depth(c: Conduct) -> float:
    """Return the mean number of disk requests under way: rate times time in the system (Little's law)."""
    return c.disk_iops * c.disk_latency_s


def _below(value: float, bound: float) -> bool:
    """Compare; what is unknown is not below."""
    return value < bound


def _pinned(c: Conduct) -> bool:
    """What runs and what waits to run together is nearly all that the VM has."""
    delay = 0.0 if np.isnan(c.delay) else c.delay
    return c.cpu_cores + delay * c.vcpus >= 0.85 * c.vcpus and c.cpu_cores > 0.05


def _sudden(known: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    """At least 60 % of the whole rise happened within two neighbouring readings."""
    rise = known.max() - known.min()
    steps = known[2:] - known[:-2]
    return bool(rise > 0 and steps.max() >= 0.6 * rise)


def _steady(last: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    mean = last.mean()
    return bool(mean > 0 and last.std() <= 0.15 * mean)
