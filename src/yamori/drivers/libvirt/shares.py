"""CPU limits of families that libvirt bounds with control groups (QEMU)."""

from collections.abc import Callable, Mapping

import libvirt

from yamori.drivers.libvirt.cpu import CPU_KINDS
from yamori.drivers.libvirt.failure import translate
from yamori.drivers.libvirt.quota import cap_of, settings_for_cap, shares_for
from yamori.drivers.libvirt.subject import Subject
from yamori.model.errors import Unsupported
from yamori.model.limits import LimitKind

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_V1_WEIGHT, _V2_WEIGHT = 1024, 100


class ControlGroupDial:
    """Quotas and shares. ``of_one``: cpu_shares of an ordinary VM, None to find it out."""

    def __init__(self, of_one: int | None) -> None:
        self._configured = of_one

    def cap(self, subject: Subject) -> float | None:
        """Read the stricter of libvirt's two bounds."""
        scheduler = _scheduler_of(subject)
        if "vcpu_quota" not in scheduler:
            raise Unsupported("limits.cpu_cap", "the hypervisor knows no quota", subject=subject.id)
        return cap_of(scheduler, subject.definition.vcpus)

    def weight(self, subject: Subject) -> float | None:
        """Read the shares, relative to those of an ordinary VM."""
        scheduler = _scheduler_of(subject)
        if "cpu_shares" not in scheduler:
            raise Unsupported("limits.cpu_weight", "the hypervisor knows no shares", subject=subject.id)
        weight = scheduler["cpu_shares"] / self._weight_of_one(subject, scheduler)
        return None if weight == 1.0 else weight

    def plan(self, subject: Subject, asked: Mapping[LimitKind, float | None]) -> list[Callable[[], object]]:
        """Put what is asked into one call."""
        kinds = [kind for kind in CPU_KINDS if kind in asked]
        if not kinds:
            return []
        try:
            scheduler = _scheduler_of(subject)
        except libvirt.libvirtError as error:
            raise translate(error, capability=f"limits.{kinds[0]}", subject=subject.id) from error
        wanted: dict[str, int] = {}
        if LimitKind.CPU_CAP in asked:
            if "vcpu_quota" not in scheduler:
                raise Unsupported("limits.cpu_cap", "the hypervisor knows no quota", subject=subject.id)
            wanted |= settings_for_cap(asked[LimitKind.CPU_CAP], scheduler, subject.definition.vcpus)
        if LimitKind.CPU_WEIGHT in asked:
            of_one = self._weight_of_one(subject, scheduler)
            wanted["cpu_shares"] = shares_for(asked[LimitKind.CPU_WEIGHT], of_one)
        return [lambda: subject.handle.setSchedulerParametersFlags(wanted, _LIVE)] if wanted else []

    def _weight_of_one(self, subject: Subject, scheduler: Mapping[str, int]) -> int:
        """cpu_shares of an ordinary VM. Raises Unsupported when it cannot be told.

        A VM whose weight nobody has set shows it. Otherwise control groups v1 give themselves away by counting
        per CPU, which v2 does not.
        """
        if self._configured is not None:
            return self._configured
        if subject.definition.shares is None and scheduler.get("cpu_shares") in {_V1_WEIGHT, _V2_WEIGHT}:
            return scheduler["cpu_shares"]
        try:
            subject.handle.getCPUStats(total=False)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
                return _V2_WEIGHT
            raise Unsupported("limits.cpu_weight", "cannot tell the control groups' version") from error
        return _V1_WEIGHT


def _scheduler_of(subject: Subject) -> Mapping[str, int]:
    told: Mapping[str, int] = subject.handle.schedulerParametersFlags(_LIVE)
    return told
