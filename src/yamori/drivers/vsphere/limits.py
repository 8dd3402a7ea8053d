"""Bounds on what a VM may use: read from the server each time, set in one reconfiguration, all or nothing."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from pyVmomi import vim

from yamori.drivers.vsphere import allocation, throttle
from yamori.drivers.vsphere.collector import Found, one, whole
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.surroundings import HostTerms, Switches, host_terms
from yamori.drivers.vsphere.tasks import carry_out, raise_for
from yamori.drivers.vsphere.translate import DEVICES, MIB, devices, is_template, state_of
from yamori.model.errors import Conflict, Invalid, NotFound, Unsupported, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, check_sense
from yamori.model.vm import PowerState

NO_BANDWIDTH = "vSphere limits a disk's operations, not its bytes"
NO_NET_IN = "vSphere limits only what a VM sends (Network I/O Control), not what it receives"
ABSENT = {"limits.disk_bandwidth": NO_BANDWIDTH, "limits.net_in": NO_NET_IN}
_PATHS = (
    "config.changeVersion",
    "config.cpuAffinity",
    "config.cpuAllocation",
    "config.memoryAllocation",
    "config.template",
    DEVICES,
    "runtime.connectionState",
    "runtime.host",
    "runtime.powerState",
    "summary.config.memorySizeMB",
    "summary.config.numCpu",
)
_TRIES = 4
Absent = Callable[[str], str | None]


class Subject:
    """One VM under one call, as it is now, and what its limits depend on."""

    def __init__(self, link: Link, ref: Any, switches: Switches) -> None:
        self.found: Found = one(link, ref, _PATHS)
        if is_template(self.found):
            raise NotFound("this is a template, not a VM")
        self.terms: HostTerms = host_terms(link, self.found.values.get("runtime.host"), ref)
        self.devices = devices(self.found)
        self.controlled = switches.controlled(link)
        self.cpu = self.found.values.get("config.cpuAllocation")
        self.memory = self.found.values.get("config.memoryAllocation")
        self.vcpus = self.found.number("summary.config.numCpu")
        self.configured = (self.found.number("summary.config.memorySizeMB") or 0) * MIB

    def pinning(self) -> frozenset[int] | None:
        """Host CPUs that the VM may run on."""
        told = getattr(self.found.values.get("config.cpuAffinity"), "affinitySet", None) or []
        return frozenset(int(cpu) for cpu in told if whole(cpu) is not None) or None


class VSphereLimitsReader:
    """Limits as they hold now. ``absent`` says why a feature is not offered."""

    def __init__(self, connection: Connection, roster: Roster, switches: Switches, absent: Absent) -> None:
        self._connection = connection
        self._roster = roster
        self._switches = switches
        self._absent = absent

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM; a kind that cannot be told is unknown, with the reason."""
        return await self._connection.call(
            lambda link: self._read(link, vm), capability="limits", subject=str(vm)[:64]
        )

    def _read(self, link: Link, vm: VMId) -> Limits:
        subject = Subject(link, self._roster.find(link, vm, to_act=False), self._switches)
        ask: Mapping[LimitKind, Callable[[], float | None]] = {
            LimitKind.CPU_CAP: lambda: allocation.cap_of(subject.cpu, subject.terms.mhz),
            LimitKind.CPU_WEIGHT: lambda: allocation.weight_of(subject.cpu, subject.vcpus),
            LimitKind.MEMORY: lambda: allocation.memory_of(subject.memory, subject.configured),
            LimitKind.DISK_IOPS: lambda: throttle.iops_of(throttle.disks(subject.devices)),
            LimitKind.NET_OUT: lambda: throttle.out_of(throttle.cards(subject.devices, subject.controlled)),
        }
        values: dict[LimitKind, float | None] = {}
        unknown: dict[LimitKind, str] = {}
        for kind in LimitKind:
            absent = self._absent(f"limits.{kind}")
            try:
                if absent is not None or kind not in ask:
                    unknown[kind] = absent or "vSphere has no such limit"
                else:
                    values[kind] = ask[kind]()
            except Unsupported as error:
                unknown[kind] = error.why
            except YamoriError as error:
                unknown[kind] = error.message
        return Limits(values=values, unknown=unknown, pinning=subject.pinning())


class VSphereLimitsWriter:
    """Sets limits. All that can be known beforehand is checked before the one change is asked for."""

    def __init__(self, connection: Connection, roster: Roster, switches: Switches, absent: Absent) -> None:
        self._connection = connection
        self._roster = roster
        self._switches = switches
        self._absent = absent
        self._turns: WeakValueDictionary[VMId, asyncio.Lock] = WeakValueDictionary()

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM. They stay until somebody lifts them: a lapse is not kept here."""
        check_sense(limits, lapse_s, subject=vm)
        for kind in limits:
            self._need(f"limits.{kind}", vm)
        await self._reconfigure(vm, lambda subject: spec_for(subject, limits))

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let the VM run only on these logical CPUs of its host; None gives back all."""
        self._need("limits.cpu_pinning", vm)
        await self._reconfigure(vm, lambda subject: pinning_spec(subject, cpus))

    def _need(self, feature: str, vm: VMId) -> None:
        absent = self._absent(feature)
        if absent is not None:
            raise Unsupported(feature, absent, subject=str(vm)[:64])

    async def _reconfigure(self, vm: VMId, plan: Callable[[Subject], Any]) -> None:
        """Read, plan, change; anew when another hand has changed the VM in between."""

        def begin(link: Link) -> Any:
            ref = self._roster.find(link, vm, to_act=True)
            subject = Subject(link, ref, self._switches)
            if state_of(subject.found) not in (PowerState.RUNNING, PowerState.PAUSED):
                raise Conflict("the VM is not running", subject=vm)
            spec = plan(subject)
            if spec is None:
                return None
            spec.changeVersion = subject.found.text("config.changeVersion")
            return ref.ReconfigVM_Task(spec)

        async with self._turns.setdefault(vm, asyncio.Lock()):
            fault: BaseException | None = None
            for attempt in range(_TRIES):
                fault = await carry_out(self._connection, begin, capability="limits", subject=str(vm)[:64])
                if not isinstance(fault, vim.fault.ConcurrentAccess):
                    break
                await asyncio.sleep(0.1 * 2**attempt)
        raise_for(self._connection, fault, capability="limits", subject=vm)


def spec_for(subject: Subject, limits: Mapping[LimitKind, float | None]) -> Any:
    """The change that makes these limits hold, None when they do. Raises Unsupported, Invalid, Conflict."""
    cpu, memory = subject.cpu, subject.memory
    if LimitKind.CPU_CAP in limits:
        cpu = allocation.with_cap(cpu, limits[LimitKind.CPU_CAP], subject.terms.mhz)
    if LimitKind.CPU_WEIGHT in limits:
        cpu = allocation.with_weight(cpu, limits[LimitKind.CPU_WEIGHT], subject.vcpus)
    if LimitKind.MEMORY in limits:
        memory = allocation.with_memory(memory, limits[LimitKind.MEMORY], subject.configured)
    edits: list[Any] = []
    if LimitKind.DISK_IOPS in limits:
        edits += throttle.edits_for_iops(throttle.disks(subject.devices), limits[LimitKind.DISK_IOPS])
    if LimitKind.NET_OUT in limits:
        cards = throttle.cards(subject.devices, subject.controlled)
        edits += throttle.edits_for_out(cards, limits[LimitKind.NET_OUT])
    spec = vim.vm.ConfigSpec(deviceChange=edits)
    if not allocation.same(cpu, subject.cpu):
        spec.cpuAllocation = cpu
    if not allocation.same(memory, subject.memory):
        spec.memoryAllocation = memory
    return spec if edits or spec.cpuAllocation is not None or spec.memoryAllocation is not None else None


def pinning_spec(subject: Subject, cpus: frozenset[int] | None) -> Any:
    """The reconfiguration that pins the VM, None when it is so. Raises Unsupported, Invalid."""
    if subject.terms.why_not_pinned is not None:
        raise Unsupported("limits.cpu_pinning", subject.terms.why_not_pinned)
    if cpus is not None:
        count = subject.terms.threads
        if count is None:
            raise Unsupported("limits.cpu_pinning", "the host does not tell how many CPUs it has")
        wrong = sorted(cpu for cpu in cpus if not 0 <= cpu < count)
        if wrong or not cpus:
            raise Invalid(f"no such host CPUs: {wrong}" if wrong else "no CPUs to run on")
    if subject.pinning() == cpus:
        return None
    return vim.vm.ConfigSpec(cpuAffinity=vim.vm.AffinityInfo(affinitySet=sorted(cpus or ())))
