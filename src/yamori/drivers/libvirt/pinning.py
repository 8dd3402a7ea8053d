"""On which of the host's CPUs a VM may run: masks, and what a family's way of setting them promises."""

from collections.abc import Sequence
from typing import Any, Protocol

from yamori.drivers.libvirt.subject import Subject
from yamori.model.errors import Invalid


class Pins(Protocol):
    """Runs in a worker thread; every method may raise libvirtError."""

    def read(self, link: Any, subject: Subject) -> frozenset[int] | None:
        """CPUs that any vCPU may run on; None when each may use all."""
        ...

    def why_not(self, link: Any, subject: Subject) -> str | None:
        """Say why pinning cannot be promised for a running VM, None where it can."""
        ...

    def pin(self, link: Any, subject: Subject, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs run only there. Raises Invalid for CPUs that are not there."""
        ...


class BindingPins:
    """Through libvirt's Python binding, as far as the family tells how many CPUs its host has."""

    def read(self, link: Any, subject: Subject) -> frozenset[int] | None:
        """Read what libvirt has been asked for."""
        del link
        return pinning_of(subject.handle.vcpuPinInfo())

    def why_not(self, link: Any, subject: Subject) -> str | None:
        """A libvirt that was itself put on some of the machine's CPUs does not know it.

        It could pin a VM, but not give it back all CPUs. A VM that may use all and runs on some shows that.
        """
        del link
        told, real = subject.handle.vcpuPinInfo(), subject.handle.vcpus()[1]
        for allowed, seen in zip(told, real, strict=False):
            if all(allowed) and not all(seen):
                return "libvirt runs on some of the host's CPUs only, so it cannot give all of them back"
        return None

    def pin(self, link: Any, subject: Subject, cpus: frozenset[int] | None) -> None:
        """Pin every vCPU, live: the VM runs."""
        mask = mask_for(cpus, link.getCPUMap(0)[0])
        for vcpu in range(subject.definition.vcpus):
            subject.handle.pinVcpu(vcpu, mask)


def pinning_of(masks: Sequence[Sequence[bool]]) -> frozenset[int] | None:
    """CPUs that any vCPU may run on; None when each may use all."""
    if not masks or all(all(mask) for mask in masks):
        return None
    return frozenset(cpu for mask in masks for cpu, allowed in enumerate(mask) if allowed)


def mask_for(cpus: frozenset[int] | None, count: int) -> tuple[bool, ...]:
    """One vCPU's mask over the host's CPUs. Raises Invalid for an empty set or a CPU that is not there."""
    if cpus is None:
        return (True,) * count
    wrong = sorted(cpu for cpu in cpus if not 0 <= cpu < count)
    if wrong or not cpus:
        raise Invalid(f"no such host CPUs: {wrong}" if wrong else "no CPUs to run on")
    return tuple(cpu in cpus for cpu in range(count))
