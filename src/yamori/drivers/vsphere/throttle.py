"""Limits of disks (operations) and cards (bits out), each the same on every device of the VM. No calls."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import whole
from yamori.drivers.vsphere.translate import label_of
from yamori.model.errors import Conflict, Invalid, Unsupported

UNLIMITED = -1
LEAST_IOPS = 16
"""The least that the vSphere client takes as well."""
BYTES_PER_MBIT = 125_000
_MOST = (1 << 31) - 1
NO_SWITCH = "it is not on a distributed switch with Network I/O Control version 3"
_Edit = vim.vm.device.VirtualDeviceSpec


def disks(devices: Sequence[Any]) -> list[Any]:
    """The VM's disks. Raises Unsupported when it has none."""
    found = [device for device in devices if isinstance(device, vim.vm.device.VirtualDisk)]
    if not found:
        raise Unsupported("limits.disk_iops", "the VM has no disk")
    return found


def cards(devices: Sequence[Any], controlled: Mapping[str, bool]) -> list[Any]:
    """The VM's cards. Raises Unsupported unless each is on a switch that enforces limits."""
    found = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    if not found:
        raise Unsupported("limits.net_out", "the VM has no card")
    for card in found:
        switch = getattr(getattr(card.backing, "port", None), "switchUuid", None)
        if not controlled.get(str(switch), False):
            raise Unsupported("limits.net_out", f"{label_of(card)}: {NO_SWITCH}")
    return found


def iops_of(found: Sequence[Any]) -> float | None:
    """The limit that all disks share. Raises Conflict when they differ."""
    return _agreed({label_of(disk): _bound(disk.storageIOAllocation, 1) for disk in found})


def out_of(found: Sequence[Any]) -> float | None:
    """The limit that all cards share, bytes per second. Raises Conflict when they differ."""
    return _agreed({label_of(card): _bound(card.resourceAllocation, BYTES_PER_MBIT) for card in found})


def edits_for_iops(found: Sequence[Any], value: float | None) -> list[Any]:
    """What gives each disk the limit; nothing for those that have it. Raises Invalid, Conflict."""
    limit = UNLIMITED if value is None else round(min(value, _MOST + 1.0))
    if value is not None and not LEAST_IOPS <= limit <= _MOST:
        raise Invalid(f"{value:g} IO/s: the server takes {LEAST_IOPS} or more")
    edits = []
    for disk in found:
        present = disk.storageIOAllocation
        _above_reservation(disk, present, limit, "IO/s")
        if _raw(present) != limit:
            disk.storageIOAllocation = vim.StorageResourceManager.IOAllocationInfo(
                limit=limit,
                shares=getattr(present, "shares", None),
                reservation=getattr(present, "reservation", None),
            )
            edits.append(_Edit(operation="edit", device=disk))
    return edits


def edits_for_out(found: Sequence[Any], value: float | None) -> list[Any]:
    """The same for cards; whole Mbit/s, at least one. Raises Invalid, Conflict."""
    limit = UNLIMITED if value is None else max(1, round(min(value / BYTES_PER_MBIT, _MOST + 1.0)))
    if limit > _MOST:
        raise Invalid(f"{value:g} B/s is beyond what the server takes")
    edits = []
    for card in found:
        present = card.resourceAllocation
        _above_reservation(card, present, limit, "Mbit/s")
        if _raw(present) != limit:
            share = getattr(present, "share", None) or vim.SharesInfo(level="normal", shares=50)
            card.resourceAllocation = vim.vm.device.VirtualEthernetCard.ResourceAllocation(
                limit=limit, share=share, reservation=getattr(present, "reservation", None)
            )
            edits.append(_Edit(operation="edit", device=card))
    return edits


def _raw(allocation: Any) -> int:
    """The limit in the server's unit. A device without an allocation is one that nobody has limited."""
    limit = whole(getattr(allocation, "limit", None))
    return UNLIMITED if limit is None else limit


def _bound(allocation: Any, unit: int) -> float | None:
    limit = _raw(allocation)
    return None if limit <= UNLIMITED else float(limit * unit)


def _above_reservation(device: Any, allocation: Any, limit: int, unit: str) -> None:
    reserved = whole(getattr(allocation, "reservation", None)) or 0
    if limit != UNLIMITED and limit < reserved:
        raise Conflict(
            f"{label_of(device)}: {reserved} {unit} are reserved, a limit of {limit} would be below that",
            mend="lower the reservation first",
        )


def _agreed(bounds: Mapping[str, float | None]) -> float | None:
    values = set(bounds.values())
    if len(values) > 1:
        words = ", ".join(f"{name} {bound or 'unlimited'}" for name, bound in sorted(bounds.items()))
        raise Conflict(f"devices differ: {words}"[:400])
    return next(iter(values))
