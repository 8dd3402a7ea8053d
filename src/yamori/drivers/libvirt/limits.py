"""Bounds on what a VM may use: read from the hypervisor each time, set live, never in the stored definition."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from yamori.drivers.libvirt import balloon
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.failure import text_of
from yamori.drivers.libvirt.families import Family
from yamori.drivers.libvirt.subject import Subject, running, subject_of
from yamori.drivers.libvirt.throttle import Disks, Nics
from yamori.model.errors import Unsupported, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, check_sense

_TC = re.compile(r"\btc (qdisc|class|filter|action)\b")
_NET = (LimitKind.NET_IN, LimitKind.NET_OUT)
Absent = Callable[[str], str | None]


class LibvirtLimitsReader:
    """Limits as they hold now. ``absent`` says why a feature is switched off or known not to be there."""

    def __init__(self, connection: Connection, family: Family, absent: Absent) -> None:
        self._connection = connection
        self._family = family
        self._absent = absent

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM; a kind that cannot be told is unknown, with the reason."""
        return await self._connection.call(lambda link: self._read(link, vm), capability="limits", subject=vm)

    def _read(self, link: Any, vm: VMId) -> Limits:
        subject = subject_of(link, vm)
        if not subject.handle.isActive():
            return Limits(unknown=dict.fromkeys(LimitKind, "the VM is not running"))
        family = self._family
        ask: Mapping[LimitKind, Callable[[], float | None]] = {
            LimitKind.CPU_CAP: lambda: family.cpu.cap(subject),
            LimitKind.CPU_WEIGHT: lambda: family.cpu.weight(subject),
            LimitKind.MEMORY: lambda: family.memory(subject),
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
        return Limits(values=values, unknown=unknown, pinning=self._pinning(link, subject))

    def _pinning(self, link: Any, subject: Subject) -> frozenset[int] | None:
        try:
            return self._family.pins.read(link, subject)
        except libvirt.libvirtError:
            return None


class LibvirtLimitsWriter:
    """Sets limits. Everything that can be known beforehand is checked before the first change.

    ``learn`` is told what an attempt has shown not to be there, ``changed`` which VM was changed.
    """

    def __init__(
        self,
        connection: Connection,
        family: Family,
        absent: Absent,
        learn: Callable[[str, str], None],
        changed: Callable[[VMId], None],
    ) -> None:
        self._connection = connection
        self._family = family
        self._absent = absent
        self._learn = learn
        self._changed = changed

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM. Nothing here ends by itself: ``lapse_s`` is only looked at."""
        check_sense(limits, lapse_s, subject=vm)
        for kind in limits:
            absent = self._absent(f"limits.{kind}")
            if absent is not None:
                raise Unsupported(f"limits.{kind}", absent, subject=vm)
        await self._connection.call(
            lambda link: self._set(link, vm, limits),
            capability="limits",
            subject=vm,
            seconds=self._connection.settings.timeouts.act_s,
        )
        self._changed(vm)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; None gives back all."""
        absent = self._absent("limits.cpu_pinning")
        if absent is not None:
            raise Unsupported("limits.cpu_pinning", absent, subject=vm)

        def job(link: Any) -> None:
            subject = running(link, vm)
            why_not = self._family.pins.why_not(link, subject)
            if why_not is not None:
                raise Unsupported("limits.cpu_pinning", why_not, subject=vm)
            self._family.pins.pin(link, subject, cpus)

        await self._connection.call(
            job, capability="limits.cpu_pinning", subject=vm, seconds=self._connection.settings.timeouts.act_s
        )
        self._changed(vm)

    def _set(self, link: Any, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        subject = running(link, vm)
        least = self._connection.settings.dialect.least_memory_bytes
        steps: list[Callable[[], object]] = [
            *self._shape(subject, limits),
            *_disks(subject, limits),
            *self._family.cpu.plan(subject, limits),
            *balloon.plan(subject.handle, subject.definition, limits, least=least),
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


def _disks(subject: Subject, limits: Mapping[LimitKind, float | None]) -> list[Callable[[], None]]:
    asked = {
        name: limits[kind]
        for kind, name in ((LimitKind.DISK_IOPS, "iops"), (LimitKind.DISK_BANDWIDTH, "bytes"))
        if kind in limits
    }
    return [Disks(subject.handle, subject.definition).plan(asked)] if asked else []
