"""What a family's way of bounding CPU promises; control groups and Xen's schedulers have little in common."""

from collections.abc import Callable, Mapping
from typing import Protocol

from yamori.drivers.libvirt.subject import Subject
from yamori.model.limits import LimitKind

CPU_KINDS = (LimitKind.CPU_CAP, LimitKind.CPU_WEIGHT)


class CpuDial(Protocol):
    """Runs in a worker thread; every method may raise libvirtError and a Refused of `yamori.model.errors`."""

    def cap(self, subject: Subject) -> float | None:
        """Read the cores that the VM may use, None when unlimited. Raises Unsupported where there is no cap."""
        ...

    def weight(self, subject: Subject) -> float | None:
        """Read the weight, None for that of an ordinary VM. Raises Unsupported where it cannot be told."""
        ...

    def plan(self, subject: Subject, asked: Mapping[LimitKind, float | None]) -> list[Callable[[], object]]:
        """Check what is asked of the CPU kinds and return the calls that set it; other kinds are passed over."""
        ...
