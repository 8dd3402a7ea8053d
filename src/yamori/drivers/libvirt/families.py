"""Which code each family uses where libvirt's drivers differ in more than a value; values are in dialect.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yamori.drivers.libvirt import balloon
from yamori.drivers.libvirt.affinity import HypervisorPins
from yamori.drivers.libvirt.cpu import CpuDial
from yamori.drivers.libvirt.credit import CreditDial
from yamori.drivers.libvirt.listing import (
    Seen,
    by_bulk_statistics,
    by_filtered_lists,
    state_of_one,
    state_of_stored_or_arriving,
)
from yamori.drivers.libvirt.moves import MoveWay
from yamori.drivers.libvirt.pinning import BindingPins, Pins
from yamori.drivers.libvirt.qemumoves import QemuMoves
from yamori.drivers.libvirt.resetting import press_button, start_anew
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.shares import ControlGroupDial
from yamori.drivers.libvirt.subject import Subject
from yamori.drivers.libvirt.xenmoves import XenMoves
from yamori.model.vm import PowerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family's ways. All of them run in a worker thread and may raise libvirtError.

    ``all_domains`` lists domains with their states. ``memory`` reads the bytes that a VM is held to, None when
    it may use all of its own. ``reset`` restarts a running domain at once. ``state`` tells
    one domain's state, ``moves`` how VMs leave and land.
    """

    all_domains: Callable[[Any], list[Seen]]
    state: Callable[[Any], PowerState]
    cpu: CpuDial
    pins: Pins
    memory: Callable[[Subject], float | None]
    reset: Callable[[Any], object]
    moves: MoveWay


def family_of(settings: LibvirtSettings) -> Family:
    """Return the ways of the family that the address names."""
    return _FAMILIES[settings.dialect.family](settings)


def _qemu(settings: LibvirtSettings) -> Family:
    return Family(
        all_domains=by_bulk_statistics,
        state=state_of_one,
        cpu=ControlGroupDial(settings.cpu_weight_of_one),
        pins=BindingPins(),
        memory=lambda subject: balloon.read(subject.definition),
        reset=press_button,
        moves=QemuMoves(settings),
    )


def _xen(settings: LibvirtSettings) -> Family:
    return Family(
        all_domains=by_filtered_lists,
        state=state_of_stored_or_arriving,
        cpu=CreditDial(),
        pins=HypervisorPins(),
        memory=lambda subject: balloon.read_from_hypervisor(subject.handle, subject.definition),
        reset=start_anew,
        moves=XenMoves(settings),
    )


_FAMILIES: Mapping[str, Callable[[LibvirtSettings], Family]] = {"qemu": _qemu, "test": _qemu, "xen": _xen}
