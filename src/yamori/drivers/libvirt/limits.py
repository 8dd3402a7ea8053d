"""Bounds on what a VM may use: read from the hypervisor each time, set live, never in the stored definition."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import libvirt

from yamori.drivers.libvirt import balloon
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.cpu import cap_of, mask_for, pinning_of, settings_for_cap, shares_for
from yamori.drivers.libvirt.failure import text_of, translate
from yamori.drivers.libvirt.inventory import find, read_definition
from yamori.drivers.libvirt.throttle import Disks, Nics
from yamori.drivers.libvirt.translate import Definition
from yamori.model.errors import Conflict, Invalid, Unsupported, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_V1_WEIGHT, _V2_WEIGHT = 1024, 100
_TC = re.compile(r"\btc (qdisc|class|filter|action)\b")
_NET = (LimitKind.NET_IN, LimitKind.NET_OUT)
Absent = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One VM under one call: its handle and what its definition says now."""

    handle: Any
    definition: Definition

    @property
    def id(self) -> VMId:
        """The VM."""
        return self.definition.id


class LibvirtLimitsReader:
    """Limits as they hold now. ``absent`` says why a feature is switched off or known not to be there."""

    def __init__(self, connection: Connection, absent: Absent) -> None:
        self._connection = connection
        self._absent = absent

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM; a kind that cannot be told is unknown, with the reason."""
        return await self._connection.call(lambda link: self._read(link, vm), capability="limits", subject=vm)

    def _read(self, link: Any, vm: VMId) -> Limits:
        subject = subject_of(link, vm)
        if not subject.handle.isActive():
            return Limits(unknown=dict.fromkeys(LimitKind, "the VM is not running"))
        of_one = self._connection.settings.cpu_weight_of_one
        ask: Mapping[LimitKind, Callable[[], float | None]] = {
            LimitKind.CPU_CAP: lambda: cap_of(scheduler_of(subject), subject.definition.vcpus),
            LimitKind.CPU_WEIGHT: lambda: _weight(subject, of_one),
            LimitKind.MEMORY: lambda: balloon.read(subject.definition),
            LimitKind.DISK_IOPS: lambda: Disks(subject.handle, subject.definition).read("iops"),
            LimitKind.DISK_BANDWIDTH: lambda: Disks(subject.handle, subject.definition).read("bytes"),
            LimitKind.NET_IN: lambda: Nics(subject.handle, subject.definition).read("inbound"),
            LimitKind.NET_OUT: lambda: Nics(subject.handle, subject.definition).read("outbound"),
        }
        values: dict[LimitKind, float | None] = {}
        unknown: dict[LimitKind, str] = {}
        for kind, read in ask.items():
            absent = self._absent(f"limits.{kind}")
            try:
                if absent is not None:
                    unknown[kind] = absent
                else:
                    values[kind] = read()
            except YamoriError as error:
                unknown[kind] = error.message
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or not link.isAlive():
                    raise
                unknown[kind] = text_of(error)
        return Limits(values=values, unknown=unknown, pinning=_pinning(subject))


class LibvirtLimitsWriter:
    """Sets limits. Everything that can be known beforehand is checked before the first change."""

    def __init__(self, connection: Connection, absent: Absent, learn: Callable[[str, str], None]) -> None:
        self._connection = connection
        self._absent = absent
        self._learn = learn

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM. Nothing here ends by itself: ``lapse_s`` is only looked at."""
        if lapse_s is not None and not (math.isfinite(lapse_s) and lapse_s > 0):
            raise Invalid(f"a lapse must be a finite number of seconds above 0, not {lapse_s}", subject=vm)
        for kind, value in limits.items():
            _check(kind, value)
            absent = self._absent(f"limits.{kind}")
            if absent is not None:
                raise Unsupported(f"limits.{kind}", absent, subject=vm)
        await self._connection.call(
            lambda link: self._set(link, vm, limits),
            capability="limits",
            subject=vm,
            seconds=self._connection.settings.timeouts.act_s,
        )

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; None gives back all."""
        absent = self._absent("limits.cpu_pinning")
        if absent is not None:
            raise Unsupported("limits.cpu_pinning", absent, subject=vm)

        def job(link: Any) -> None:
            subject = _running(link, vm)
            why_not = why_not_pinned(subject.handle)
            if why_not is not None:
                raise Unsupported("limits.cpu_pinning", why_not, subject=vm)
            mask = mask_for(cpus, link.getCPUMap(0)[0])
            for vcpu in range(subject.definition.vcpus):
                subject.handle.pinVcpu(vcpu, mask)  # live: the VM runs

        await self._connection.call(
            job, capability="limits.cpu_pinning", subject=vm, seconds=self._connection.settings.timeouts.act_s
        )

    def _set(self, link: Any, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        subject = _running(link, vm)
        steps = [
            *self._shape(subject, limits),
            *_disks(subject, limits),
            *_cpu(subject, limits, self._connection.settings.cpu_weight_of_one),
            *balloon.plan(subject.handle, subject.definition, limits),
        ]
        for step in steps:
            step()

    def _shape(self, subject: Subject, limits: Mapping[LimitKind, float | None]) -> list[Callable[[], None]]:
        """The network comes first: only trying shows whether the host's kernel has what it needs."""
        asked = {kind: limits[kind] for kind in _NET if kind in limits}
        if not asked:
            return []
        plan = Nics(subject.handle, subject.definition).plan(
            {"inbound" if kind is LimitKind.NET_IN else "outbound": value for kind, value in asked.items()}
        )

        def shape() -> None:
            try:
                plan()
            except libvirt.libvirtError as error:
                if not _TC.search(str(error)):
                    raise
                why = f"the host's kernel cannot shape: {text_of(error)}"
                for kind in asked:
                    self._learn(f"limits.{kind}", why)
                raise Unsupported(f"limits.{next(iter(asked))}", why, subject=subject.id) from error

        return [shape]


def subject_of(link: Any, vm: VMId) -> Subject:
    """Look a VM up with its present definition."""
    handle = find(link, vm)
    return Subject(handle=handle, definition=read_definition(handle, ()))


def scheduler_of(subject: Subject) -> Mapping[str, int]:
    """libvirt's scheduler parameters as they hold now."""
    told: Mapping[str, int] = subject.handle.schedulerParametersFlags(_LIVE)
    return told


def weight_of_one(subject: Subject, scheduler: Mapping[str, int], configured: int | None) -> int:
    """cpu_shares of an ordinary VM. Raises Unsupported when it cannot be told.

    A VM whose weight nobody has set shows it. Otherwise control groups v1 give themselves away by counting
    per CPU, which v2 does not.
    """
    if configured is not None:
        return configured
    if subject.definition.shares is None and scheduler.get("cpu_shares") in {_V1_WEIGHT, _V2_WEIGHT}:
        return scheduler["cpu_shares"]
    try:
        subject.handle.getCPUStats(total=False)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            return _V2_WEIGHT
        raise Unsupported("limits.cpu_weight", "cannot tell the control groups' version") from error
    return _V1_WEIGHT


def why_not_pinned(handle: Any) -> str | None:
    """Say why pinning cannot be promised for a running VM, None where it can.

    A libvirt that was itself put on some of the machine's CPUs does not know it: it could pin a VM, but not
    give it back all CPUs. A VM that may use all and runs on some shows that.
    """
    told, real = handle.vcpuPinInfo(), handle.vcpus()[1]
    for allowed, seen in zip(told, real, strict=False):
        if all(allowed) and not all(seen):
            return "libvirt runs on some of the host's CPUs only, so it cannot give all of them back"
    return None


def _running(link: Any, vm: VMId) -> Subject:
    subject = subject_of(link, vm)
    if not subject.handle.isActive():
        raise Conflict("the VM is not running", subject=vm)
    return subject


def _check(kind: LimitKind, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise Invalid(f"{kind} of {value} makes no sense")


def _weight(subject: Subject, configured: int | None) -> float | None:
    scheduler = scheduler_of(subject)
    if "cpu_shares" not in scheduler:
        raise Unsupported("limits.cpu_weight", "the hypervisor does not tell the weight")
    weight = scheduler["cpu_shares"] / weight_of_one(subject, scheduler, configured)
    return None if weight == 1.0 else weight


def _pinning(subject: Subject) -> frozenset[int] | None:
    try:
        return pinning_of(subject.handle.vcpuPinInfo())
    except libvirt.libvirtError:
        return None


def _cpu(
    subject: Subject, limits: Mapping[LimitKind, float | None], configured: int | None
) -> list[Callable[[], None]]:
    if LimitKind.CPU_CAP not in limits and LimitKind.CPU_WEIGHT not in limits:
        return []
    try:
        scheduler = scheduler_of(subject)
    except libvirt.libvirtError as error:
        first = LimitKind.CPU_CAP if LimitKind.CPU_CAP in limits else LimitKind.CPU_WEIGHT
        raise translate(error, capability=f"limits.{first}", subject=subject.id) from error
    asked: dict[str, int] = {}
    if LimitKind.CPU_CAP in limits:
        if "vcpu_quota" not in scheduler:
            raise Unsupported("limits.cpu_cap", "the hypervisor knows no quota", subject=subject.id)
        asked |= settings_for_cap(limits[LimitKind.CPU_CAP], scheduler, subject.definition.vcpus)
    if LimitKind.CPU_WEIGHT in limits:
        of_one = weight_of_one(subject, scheduler, configured)
        asked["cpu_shares"] = shares_for(limits[LimitKind.CPU_WEIGHT], of_one)
    return [lambda: subject.handle.setSchedulerParametersFlags(asked, _LIVE)] if asked else []


def _disks(subject: Subject, limits: Mapping[LimitKind, float | None]) -> list[Callable[[], None]]:
    asked = {
        name: limits[kind]
        for kind, name in ((LimitKind.DISK_IOPS, "iops"), (LimitKind.DISK_BANDWIDTH, "bytes"))
        if kind in limits
    }
    return [Disks(subject.handle, subject.definition).plan(asked)] if asked else []
