"""What our limits mean for a VM under a hold: which resource they bind, and whether it presses against them."""

from collections.abc import Iterable, Mapping

from yamori.capabilities.sensing.rates import Rate
from yamori.capabilities.sensing.usage import Column
from yamori.manifest.module import Hold
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.vm import VM
from yamori.modules.guard.baseline import Use
from yamori.modules.guard.reading import Reading

KINDS: Mapping[int, tuple[LimitKind, ...]] = {
    Use.CPU: (LimitKind.CPU_CAP, LimitKind.CPU_WEIGHT),
    Use.MEMORY: (LimitKind.MEMORY,),
    Use.DISK: (LimitKind.DISK_IOPS, LimitKind.DISK_BANDWIDTH),
    Use.NETWORK: (LimitKind.NET_OUT,),
}
"""Which limits bind which resource."""
NEAR = 0.85
"""At this part of its limit a VM presses against it."""
WAITS = 0.2
"""A capped VM whose vCPUs wait so much, s/s, is held back by its cap."""
SHORT = 0.15
"""A guest with less than this part of its memory usable would take more."""


def binds(hold: Hold, resource: int) -> bool:
    """Tell whether a hold limits a resource."""
    return any(kind in hold.asked for kind in KINDS[resource])


def presses(reading: Reading, row: int, hold: Hold, resource: int) -> bool | None:
    """Tell whether a held VM would take more of the resource if it could; None when that is unknown.

    Behind a limit demand is hidden: what shows is use at the limit, or waiting.
    """
    limits = ((kind, value) for kind, value in hold.asked.items() if _counts(kind, resource, hold))
    return _any(_at(reading, row, kind, value) for kind, value in limits)


def _counts(kind: LimitKind, resource: int, hold: Hold) -> bool:
    if kind in KINDS[resource]:
        return True
    return resource == Use.MEMORY and kind is LimitKind.CPU_CAP and LimitKind.MEMORY in hold.asked


def _at(reading: Reading, row: int, kind: LimitKind, limit: float) -> bool | None:
    values = reading.rates.values[:, row]
    vm = reading.view.vms.get(reading.frame.vms[row])
    if kind is LimitKind.CPU_CAP:
        return _any((_near(values[Rate.CPU_CORES], limit), bool(values[Rate.CPU_DELAY] > WAITS)))
    if kind is LimitKind.CPU_WEIGHT:
        return _above(values[Rate.CPU_DELAY], WAITS)
    if kind is LimitKind.MEMORY:
        usable = reading.frame.values[row, Column.MEMORY_USABLE]
        return _above(SHORT * values[Rate.MEMORY_ASSIGNED_BYTES], usable)
    if kind is LimitKind.DISK_IOPS:
        return _near(values[Rate.DISK_IOPS], limit * disks(vm))
    if kind is LimitKind.DISK_BANDWIDTH:
        return _near(values[Rate.DISK_BYTES_S], limit * disks(vm))
    if kind is LimitKind.NET_OUT:
        dropped = reading.measured[Use.NETWORK, row]
        return _any((_near(values[Rate.NET_TX_BYTES_S], limit * cards(vm)), bool(dropped > 0.01)))
    return None


def disks(vm: VM | None) -> int:
    """Return how many disks share a limit that is set for each."""
    return max(1, len(vm.disks)) if vm is not None else 1


def cards(vm: VM | None) -> int:
    """Return how many network cards share a limit that is set for each."""
    return max(1, len(vm.nics)) if vm is not None else 1


def ours(holds: Mapping[VMId, Hold], vm: VMId | None) -> Hold | None:
    """Return the hold on a VM if a finding led to it; an operator's own throttle is none of our business."""
    hold = None if vm is None else holds.get(vm)
    return None if hold is None or hold.finding_key is None else hold


def _near(value: float, limit: float) -> bool | None:
    return None if value != value else bool(value >= NEAR * limit)


def _above(value: float, bound: float) -> bool | None:
    return None if value != value or bound != bound else bool(value > bound)


def _any(told: Iterable[bool | None]) -> bool | None:
    """Return True if one is, None if not but one is unknown, else False."""
    answers = list(told)
    if any(answers):
        return True
    return None if not answers or None in answers else False
