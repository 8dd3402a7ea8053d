"""What may be limited for one VM, and in which unit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from yamori.model.amounts import amount
from yamori.model.errors import Invalid


class LimitKind(StrEnum):
    """A quantity that a hypervisor can bound for one VM. One unit each, the same on every hypervisor."""

    CPU_CAP = "cpu_cap"
    """Cores of CPU time per second of wall time, over all vCPUs of the VM (0.5 = half a core)."""
    CPU_WEIGHT = "cpu_weight"
    """Share under contention, relative to an ordinary VM, which has 1.0."""
    MEMORY = "memory"
    """Bytes of memory that the VM may use: what its balloon asks the guest to keep to, and where the hypervisor
    can page the VM out, what it is held to at once."""
    DISK_IOPS = "disk_iops"
    """Operations per second, reads and writes together, for each disk."""
    DISK_BANDWIDTH = "disk_bandwidth"
    """Bytes per second, reads and writes together, for each disk."""
    NET_IN = "net_in"
    """Bytes per second towards the guest, for each card."""
    NET_OUT = "net_out"
    """Bytes per second from the guest, for each card."""


UNITS: Mapping[LimitKind, str] = {
    LimitKind.CPU_CAP: "cores",
    LimitKind.CPU_WEIGHT: "shares",
    LimitKind.MEMORY: "B",
    LimitKind.DISK_IOPS: "IO/s",
    LimitKind.DISK_BANDWIDTH: "B/s",
    LimitKind.NET_IN: "B/s",
    LimitKind.NET_OUT: "B/s",
}


def allowance(kind: LimitKind, value: float | None) -> str:
    """Write how much of something a VM may have: ``328 MiB``, ``0.25 cores``; None is unlimited."""
    return "unlimited" if value is None else amount(value, UNITS[kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds for one VM, as read back from the hypervisor.

    A kind in ``values`` holds at that number; ``None`` there means that it is unlimited.
    A kind in ``unknown`` could not be read; the text says why. A kind is in exactly one of them.
    ``pinning`` is the set of host CPUs that the VM may run on, None when it may use all.
    """

    values: Mapping[LimitKind, float | None] = field(default_factory=dict)
    unknown: Mapping[LimitKind, str] = field(default_factory=dict)
    pinning: frozenset[int] | None = None


def check_sense(limits: Mapping[LimitKind, float | None], lapse_s: float | None, *, subject: str) -> None:
    """Refuse what makes no sense anywhere: a limit or a lapse that is not finite and above 0. Raises Invalid."""
    for kind, value in limits.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise Invalid(f"{kind} must be a finite number above 0, not {value}", subject=subject)
    if lapse_s is not None and not (math.isfinite(lapse_s) and lapse_s > 0):
        raise Invalid(f"a lapse must be a finite number of seconds above 0, not {lapse_s}", subject=subject)
