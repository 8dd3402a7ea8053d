"""libvirt's I/O throttles of disks (blkdeviotune) and cards (domiftune), each kind the same on every device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import libvirt

from yamori.drivers.libvirt.translate import Definition
from yamori.model.errors import Conflict, Unsupported, YamoriError

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_MOST = 10**15
_KIB = 1024


class Disks:
    """All throttled disks of one running VM. ``kind`` is ``iops`` or ``bytes``, in libvirt's words."""

    def __init__(self, handle: Any, definition: Definition) -> None:
        self._handle = handle
        self._targets = [d.disk.target for d in definition.disks if d.medium and d.disk.target]

    def read(self, kind: str) -> float | None:
        """The limit of each disk. Raises Unsupported where no one number says it."""
        if not self._targets:
            raise Unsupported(f"limits.disk_{kind}", "the VM has no disk")
        return _agreed({target: _bound_of(self._tuning(target), kind) for target in self._targets})

    def plan(self, asked: Mapping[str, float | None]) -> Callable[[], None]:
        """Check, and return what sets the limits on every disk.

        A burst allowance of the same kind goes: it would let the guest through for its length. A limit that
        somebody has set on reads or writes alone is left alone: Conflict (QEMU cannot hold both).
        """
        if not self._targets:
            raise Unsupported("limits.disk_iops", "the VM has no disk")
        steps: list[tuple[str, dict[str, int]]] = []
        for target in self._targets:
            present = self._tuning(target)
            wanted: dict[str, int] = {}
            for kind, value in asked.items():
                _refuse_one_sided(present, kind, target)
                wanted[f"total_{kind}_sec"] = 0 if value is None else max(1, min(_MOST, round(value)))
                for burst in (f"total_{kind}_sec_max", f"total_{kind}_sec_max_length"):
                    if present.get(burst):
                        wanted[burst] = 0
            steps.append((target, wanted))

        def act() -> None:
            for target, wanted in steps:
                self._handle.setBlockIoTune(target, wanted, _LIVE)

        return act

    def _tuning(self, target: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._handle.blockIoTune(target, _LIVE)
        return told


class Nics:
    """All cards of one running VM. ``way`` is ``inbound`` (to the guest) or ``outbound``; libvirt counts KiB/s."""

    def __init__(self, handle: Any, definition: Definition) -> None:
        self._handle = handle
        self._cards = [nic.target or nic.mac for nic in definition.nics]

    def read(self, way: str) -> float | None:
        """The limit of each card. Raises Unsupported where no one number says it."""
        if not self._cards:
            raise Unsupported(f"limits.net_{way}", "the VM has no card")
        told = {card: self._handle.interfaceParameters(card, _LIVE) for card in self._cards}
        return _agreed({card: float(t.get(f"{way}.average", 0) * _KIB) or None for card, t in told.items()})

    def plan(self, asked: Mapping[str, float | None]) -> Callable[[], None]:
        """Return what sets the limits on every card; whole KiB/s, at least one. Bursts and peaks go."""
        if not self._cards:
            raise Unsupported("limits.net", "the VM has no card")
        wanted: dict[str, int] = {}
        for way, value in asked.items():
            wanted[f"{way}.average"] = 0 if value is None else max(1, min(_MOST, round(value / _KIB)))
            wanted[f"{way}.peak"] = 0
            wanted[f"{way}.burst"] = 0

        def act() -> None:
            for card in self._cards:
                self._handle.setInterfaceParameters(card, wanted, _LIVE)

        return act


def _bound_of(tuning: Mapping[str, Any], kind: str) -> float | YamoriError | None:
    total = tuning.get(f"total_{kind}_sec", 0)
    if total:
        return float(total)
    reads, writes = (tuning.get(f"{way}_{kind}_sec", 0) for way in ("read", "write"))
    if reads or writes:
        return Conflict(f"reads are limited to {reads or 'nothing'}, writes to {writes or 'nothing'} by hand")
    return None


def _refuse_one_sided(tuning: Mapping[str, Any], kind: str, target: str) -> None:
    bound = _bound_of(tuning, kind)
    if isinstance(bound, YamoriError):
        raise Conflict(
            f"disk {target}: {bound.message}", mend="lift these limits first, or leave the disk as it is"
        )


def _agreed(bounds: Mapping[str, float | YamoriError | None]) -> float | None:
    """The one number that all devices share. Raises Conflict when there is none."""
    for device, bound in bounds.items():
        if isinstance(bound, YamoriError):
            raise Conflict(f"{device}: {bound.message}")
    values: Iterable[float | None] = [b for b in bounds.values() if not isinstance(b, YamoriError)]
    distinct = set(values)
    if len(distinct) > 1:
        words = ", ".join(f"{device} {bound or 'unlimited'}" for device, bound in sorted(bounds.items()))
        raise Conflict(f"devices differ: {words}"[:400])
    return next(iter(distinct))
