"""How much to take from a cause, and how to give it back: first throttle, tightening, loosening. Pure numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.model.limits import LimitKind
from yamori.model.sla import SLAClass
from yamori.modules.guard.evidence import Facts, Word

Wanted = dict[LimitKind, float]

HARDEST = 0.1
"""One step leaves at least this part of what was used, except where the victims' lack says otherwise for CPU."""
TIGHTEN = 0.7
"""A throttle that did not suffice is tightened to at most this part."""
BELOW_FULL = 0.8
LEAST_NET_BYTES_S = 16_384.0
"""A network throttle always leaves this, so that the VM stays reachable."""
LARGE_OP = 65_536.0
"""A disk load of larger requests than this is bounded by bytes, one of smaller ones by operations."""
LEAST_WEIGHT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The cause as the ladder needs it. ``mild`` when it looks like ordinary load: never below its own usual.

    ``kinds`` can be set on its host; ``disks`` and ``cards`` share limits that are set for each.
    """

    sla: SLAClass
    kinds: frozenset[LimitKind]
    memory_bytes: float
    vcpus: float
    disks: int
    cards: int
    mild: bool
    sure: bool
    margin: float


def first(resource: str, f: Facts, s: Subject) -> Wanted:
    """Return the limits that should give the victims back what they lack; empty when no fitting one can be set."""
    if resource == "cpu":
        return _cpu(f(Word.CORES) - s.margin * f(Word.LACK), f, s)
    if resource == "memory":
        return _first_memory(f, s)
    if resource == "disk":
        return _disk(_relief(f), f, s)
    # What passes now fills the link: a little less than that leaves room, however much more was offered.
    return _network(min(BELOW_FULL, max(HARDEST, 1.0 - s.margin * _part(f(Word.LACK), f(Word.TAKEN)))), f, s)


def tighter(resource: str, asked: Mapping[LimitKind, float], f: Facts, s: Subject) -> Wanted:
    """Return stricter limits than ``asked``: by what is still lacking, and by a noticeable step at least.

    Right after a loosening proved too much, the limit that was known to be enough.
    """
    good = f(Word.GOOD)
    if 0 < good < 1:
        return {kind: value * good for kind, value in asked.items()}
    if resource == "cpu" and LimitKind.CPU_CAP in asked:
        cap = asked[LimitKind.CPU_CAP]
        return _cpu(min(cap - s.margin * f(Word.LACK), TIGHTEN * cap), f, s)
    if resource == "memory" and LimitKind.MEMORY in asked:
        target = asked[LimitKind.MEMORY]
        wanted = _memory(min(target - s.margin * f(Word.LACK), 0.85 * target), s)
        if LimitKind.CPU_CAP in asked:
            wanted |= _cpu(0.5 * asked[LimitKind.CPU_CAP], f, s)
        return wanted
    step = min(TIGHTEN, max(0.25, _relief(f)))
    return {kind: max(_floor(kind, s), value * step) for kind, value in asked.items()}


def looser(asked: Mapping[LimitKind, float], by: float, s: Subject) -> Wanted:
    """Return limits one step looser, without those that would leave the VM all that it has."""
    whole = {LimitKind.MEMORY: s.memory_bytes, LimitKind.CPU_CAP: s.vcpus}
    return {kind: value * by for kind, value in asked.items() if not 0 < whole.get(kind, 0.0) <= value * by}


def squeeze(f: Facts, s: Subject) -> Wanted:
    """Return a CPU cap for a guest that does not give memory back: half of what it runs now."""
    return _cpu(0.5 * f(Word.CORES), f, s)


def at_floor(asked: Mapping[LimitKind, float], f: Facts, s: Subject) -> bool:
    """Tell whether nothing more may be taken."""
    return all(value <= 1.02 * _lowest(kind, f, s) for kind, value in asked.items())


def _lowest(kind: LimitKind, f: Facts, s: Subject) -> float:
    return _cpu_floor(f, s) if kind is LimitKind.CPU_CAP else _floor(kind, s)


def _floor(kind: LimitKind, s: Subject) -> float:
    floors = {
        LimitKind.CPU_CAP: s.sla.floor_cpu_cores,
        LimitKind.CPU_WEIGHT: LEAST_WEIGHT,
        LimitKind.MEMORY: s.sla.floor_memory_fraction * s.memory_bytes,
        LimitKind.DISK_IOPS: s.sla.floor_disk_iops,
        LimitKind.DISK_BANDWIDTH: s.sla.floor_disk_bandwidth,
        LimitKind.NET_OUT: LEAST_NET_BYTES_S,
    }
    return floors.get(kind, 0.0)


def _cpu_floor(f: Facts, s: Subject) -> float:
    """Ordinary load keeps its own usual and its fair share; what may be an attack keeps half of that."""
    floor = s.sla.floor_cpu_cores
    if s.mild:
        return max(floor, f.usual(Word.CORES) or 0.0, f(Word.FAIR))
    return floor if s.sure else max(floor, 0.5 * (f.usual(Word.CORES) or 0.0))


def _cpu(cap: float, f: Facts, s: Subject) -> Wanted:
    cap = max(cap, _cpu_floor(f, s))
    if LimitKind.CPU_CAP in s.kinds:
        return {LimitKind.CPU_CAP: round(cap, 3)}
    if LimitKind.CPU_WEIGHT in s.kinds:
        return {LimitKind.CPU_WEIGHT: round(max(LEAST_WEIGHT, min(1.0, _part(cap, f(Word.CORES)))), 3)}
    return {}


def _first_memory(f: Facts, s: Subject) -> Wanted:
    """Take what is lacking from what the cause holds.

    Where the host has paged out even the cause, what it holds is only what it fights for: a limit must be clearly
    below that to end the fight.
    """
    holds = min(f(Word.ASSIGNED), f(Word.RESIDENT, f(Word.ASSIGNED)))
    paged = holds < 0.5 * f(Word.ASSIGNED)
    return _memory(min(holds - s.margin * f(Word.LACK), (0.7 if paged else 1.0) * holds), s)


def _memory(target: float, s: Subject) -> Wanted:
    if LimitKind.MEMORY not in s.kinds:
        return {}
    return {LimitKind.MEMORY: float(int(max(target, _floor(LimitKind.MEMORY, s))))}


def _relief(f: Facts) -> float:
    """Return the part of its disk use that a cause may keep.

    Waiting is in proportion to the work in the queue, so the worst served needs 1 / excess of it to be at its
    bound; half of the bound is aimed at, and the neighbours keep what they have.
    """
    excess = max(1.0, f(Word.EXCESS, 1.0))
    share = f(Word.SHARE, 1.0)
    keep = 1.0 - (1.0 - 0.5 / excess) / max(share, 0.5)
    return max(HARDEST, min(0.9, keep))


def _disk(part: float, f: Facts, s: Subject) -> Wanted:
    iops, octets = f(Word.IOPS), f(Word.BYTES)
    by_bytes = {LimitKind.DISK_BANDWIDTH: max(_floor(LimitKind.DISK_BANDWIDTH, s), octets * part / s.disks)}
    by_ops = {LimitKind.DISK_IOPS: max(_floor(LimitKind.DISK_IOPS, s), iops * part / s.disks)}
    large = octets >= LARGE_OP * max(iops, 1e-9)
    for wanted in (by_bytes, by_ops) if large else (by_ops, by_bytes):
        if set(wanted) <= s.kinds:
            return {kind: float(round(value)) for kind, value in wanted.items()}
    return {}


def _network(part: float, f: Facts, s: Subject) -> Wanted:
    if LimitKind.NET_OUT not in s.kinds:
        return {}
    return {LimitKind.NET_OUT: float(round(max(LEAST_NET_BYTES_S, f(Word.SENT) * part / s.cards)))}


def _part(some: float, whole: float) -> float:
    return some / whole if whole > 0 else 0.0
