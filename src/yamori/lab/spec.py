"""What a lab shall be: hosts, guests, their sizes and the finite performance of their storage."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from yamori.model.errors import Invalid

_NAMESPACE = uuid.UUID("6f2b2d0e-6d0f-5b43-9a55-7a1b6f1c2a10")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_LETTERS = "abcdefghij"
_XEN_LETTERS = "xyz"
_XEN_NUMBERS = 220
_XEN_NUMBERS_A_HOST = 10
XEN_ARRAY_MIB = 4096
"""Size of the one disk that all Xen hosts of a lab cut into their guests' slices."""
_TENANTS = ("a", "b", "c")
_CLASSES = ("gold", "silver", "bronze", "silver")
_SHARES = 1024
_MOST_SHARES = 262_144
"""The kernel's own bound (MAX_SHARES in kernel/sched/sched.h)."""


class Accelerator(StrEnum):
    """How guests execute: ``auto`` takes KVM only after a probe guest has really booted with it."""

    AUTO = "auto"
    TCG = "tcg"
    KVM = "kvm"


class Storage(StrEnum):
    """Where a guest's disk lives: on the shared array, or in a file of its host (copied when it migrates)."""

    ARRAY = "array"
    LOCAL = "local"


class Virtualization(StrEnum):
    """How a guest runs: on a QEMU host, or on Xen paravirtualised or in a hardware container (PVH)."""

    QEMU = "qemu"
    PV = "pv"
    PVH = "pvh"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestPlan:
    """One guest of a lab; everything in it follows from the lab's spec."""

    name: str
    uuid: str
    number: int
    host: str
    tenant: str
    sla: str
    storage: Storage
    cpu_shares: int
    title: str
    virtualization: Virtualization = Virtualization.QEMU


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """A lab as asked for. Sizes in MiB, rates per second; raises Invalid when a value makes no sense."""

    name: str
    hosts: int = 2
    guests_per_host: int = 4
    guest_memory_mib: int = 640
    """Memory of each guest; it may balloon down from here and up to it again."""
    disk_mib: int = 64
    accelerator: Accelerator = Accelerator.AUTO
    host_cpus: int = 1
    """Cores each host owns through its cpuset; hosts share cores when the machine has too few."""
    host_memory_mib: int | None = None
    """Budget of all guests of a host together; None: ``memory_packing_percent`` of what they use when booted."""
    memory_packing_percent: int = 70
    """Below 100 only what guests really use again stays in memory, so that one guest's greed hurts the others;
    a host with a single guest gets no budget."""
    cpu_shares: Mapping[str, int] = field(default_factory=dict)
    """CPU shares of single guests by name; all others have 1024. A guest with more can starve its neighbours, as
    one from a template with high shares can on any hypervisor; with as many, fair scheduling leaves it little."""
    array_iops: int = 600
    array_bytes_per_second: int = 40_000_000
    xen_hosts: int = 0
    """Xen hosts beside the others: emulated machines with a hypervisor of their own, each of 2 GiB."""
    xen_guests_per_host: int = 3
    xen_guest_memory_mib: int = 128
    xen_pvh: tuple[str, ...] = ()
    """Guests of Xen hosts, by name, that are PVH and can migrate live; all others are PV."""
    vcenter: bool = False
    """Whether a vCenter, simulated, is part of the lab."""
    detached: bool = False
    """Whether the lab outlives the process that made it (then only ``down`` ends it)."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid(f"{self.name!r} is no lab name", mend="use 1 to 20 of a-z, 0-9 and '-', a letter first")
        bounds = {
            "hosts": (0 if self.xen_hosts or self.vcenter else 1, len(_LETTERS)),
            "xen_hosts": (0, len(_XEN_LETTERS)),
            "xen_guests_per_host": (0, _XEN_NUMBERS_A_HOST - 1),
            "xen_guest_memory_mib": (96, 512),
            "guests_per_host": (0, 20),
            "guest_memory_mib": (96, 4096),
            "disk_mib": (16, 4096),
            "host_cpus": (1, 64),
            "memory_packing_percent": (50, 1000),
            "array_iops": (10, 1_000_000),
            "array_bytes_per_second": (100_000, 10_000_000_000),
        }
        for size, (low, high) in bounds.items():
            if not low <= getattr(self, size) <= high:
                raise Invalid(f"{size} is {getattr(self, size)}", mend=f"use {low} to {high}")
        if self.xen_hosts * self.xen_guests_per_host * self.disk_mib > XEN_ARRAY_MIB:
            raise Invalid(
                "the disks of all guests of Xen hosts are too big", mend=f"use {XEN_ARRAY_MIB} MiB together"
            )
        for guest in self.xen_pvh:
            if guest not in {plan.name for plan in self._xen_guests()}:
                raise Invalid(f"xen_pvh names {guest!r}, which is no guest of a Xen host", mend="use vm-x1, …")
        there = {guest.name for guest in self.guests()}
        for guest, shares in self.cpu_shares.items():
            if guest not in there:
                raise Invalid(f"cpu_shares names {guest!r}, which is no guest", mend="use vm-a1, vm-x1, …")
            if not 2 <= shares <= _MOST_SHARES:
                raise Invalid(f"cpu_shares of {guest} is {shares}", mend=f"use 2 to {_MOST_SHARES}")

    @property
    def working_set_mib(self) -> int:
        """Memory that the service of a guest touches again and again."""
        return min(96, self.guest_memory_mib * 15 // 100)

    @property
    def xen_working_set_mib(self) -> int:
        """The same of a guest on a Xen host."""
        return min(96, self.xen_guest_memory_mib * 15 // 100)

    def host_names(self) -> tuple[str, ...]:
        """``host-a``, ``host-b``, …"""
        return tuple(f"host-{letter}" for letter in _LETTERS[: self.hosts])

    def xen_host_names(self) -> tuple[str, ...]:
        """``xen-a``, ``xen-b``, …"""
        return tuple(f"xen-{letter}" for letter in _LETTERS[: self.xen_hosts])

    def all_host_names(self) -> tuple[str, ...]:
        """Every host in the order of their addresses: Xen hosts come last."""
        return self.host_names() + self.xen_host_names()

    def guests(self) -> tuple[GuestPlan, ...]:
        """All guests, those of Xen hosts last."""
        return (*self._qemu_guests(), *self._xen_guests())

    def _qemu_guests(self) -> list[GuestPlan]:
        """``vm-a1``, … ; the last of each host keeps its disk in a local file, the others on the array."""
        plans = []
        for host_index, host in enumerate(self.host_names()):
            for index in range(self.guests_per_host):
                name = f"vm-{_LETTERS[host_index]}{index + 1}"
                local = index == self.guests_per_host - 1
                plans.append(
                    GuestPlan(
                        name=name,
                        uuid=str(uuid.uuid5(_NAMESPACE, f"{self.name}/{name}")),
                        number=20 + host_index * 20 + index,
                        host=host,
                        tenant=_TENANTS[index % len(_TENANTS)],
                        sla=_CLASSES[index % len(_CLASSES)],
                        storage=Storage.LOCAL if local else Storage.ARRAY,
                        cpu_shares=self.cpu_shares.get(name, _SHARES),
                        title=f"Lab guest {name}",
                    )
                )
        return plans

    def _xen_guests(self) -> list[GuestPlan]:
        """``vm-x1``, … on xen-a, ``vm-y1``, … on xen-b; all disks are on the array that the Xen hosts share."""
        plans = []
        for host_index, host in enumerate(self.xen_host_names()):
            for index in range(self.xen_guests_per_host):
                name = f"vm-{_XEN_LETTERS[host_index]}{index + 1}"
                plans.append(
                    GuestPlan(
                        name=name,
                        uuid=str(uuid.uuid5(_NAMESPACE, f"{self.name}/{name}")),
                        number=_XEN_NUMBERS + host_index * _XEN_NUMBERS_A_HOST + index,
                        host=host,
                        tenant=_TENANTS[index % len(_TENANTS)],
                        sla=_CLASSES[index % len(_CLASSES)],
                        storage=Storage.ARRAY,
                        cpu_shares=self.cpu_shares.get(name, _SHARES),
                        title=f"Lab guest {name}",
                        virtualization=Virtualization.PVH if name in self.xen_pvh else Virtualization.PV,
                    )
                )
        return plans

    def as_record(self) -> dict[str, Any]:
        """Plain values for the registry."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LabSpec:
        """Read back ``as_record``; unknown keys of a newer version are left out."""
        known = {known.name for known in fields(cls)}
        values = {key: value for key, value in record.items() if key in known}
        values["accelerator"] = Accelerator(values.get("accelerator", "auto"))
        values["xen_pvh"] = tuple(values.get("xen_pvh", ()))
        return cls(**values)
