"""Limits on a Xen VM's disks: dom0's kernel serves them, and its control groups bound what the serving threads do.

io.max bounds reads and writes apart; our kinds bound them together. The bound is shared out between the two, and
shared anew each second by use, so that together they never pass it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from yamori.agent.functions.bounds import Told, Wanted, agreed
from yamori.agent.functions.xen.backends import Backend, Numbers
from yamori.agent.functions.xen.groups import Group, Groups
from yamori.agent.functions.xen.roster import Roster
from yamori.agent.functions.xen.split import halves, shared
from yamori.model.errors import Conflict, Unsupported, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Cell, Level
from yamori.model.vm import VM

_IOPS, _BANDWIDTH = LimitKind.DISK_IOPS, LimitKind.DISK_BANDWIDTH
_KEYS = {_IOPS: ("riops", "wiops"), _BANDWIDTH: ("rbps", "wbps")}
_COUNTS = {_IOPS: ("rios", "wios"), _BANDWIDTH: ("rbytes", "wbytes")}
_LEAST = {_IOPS: 2, _BANDWIDTH: 2 * 4096}
"""One for each way; less than a page a second would never let a request through."""
_MOST = 1 << 62
_SETTLED_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    backend: Backend
    name: str
    block: Numbers


class DiskBounds:
    """All disks of one VM, each held to the same bound."""

    kinds = frozenset({_IOPS, _BANDWIDTH})

    def __init__(self, roster: Roster, groups: Groups) -> None:
        self._roster = roster
        self._groups = groups
        self._counted: dict[Group, tuple[float, Mapping[str, int]]] = {}

    def cells(self) -> Mapping[LimitKind, Cell]:
        """Look whether control groups can be used."""
        why_not = self._groups.why_not()
        if why_not is not None:
            return dict.fromkeys(self.kinds, Cell(level=Level.NONE, reason=why_not[:400]))
        why = "io.max on the threads in dom0 that serve the disk; reads and writes share the bound by use"
        return dict.fromkeys(self.kinds, Cell(level=Level.AGENT, reason=why))

    def read(self, vm: VM) -> Told:
        """Ask the kernel what holds, and whether the threads that serve the disk are held by it."""
        try:
            disks = self._disks(vm.id)
        except YamoriError as error:
            return dict.fromkeys(self.kinds, error)
        told: dict[LimitKind, float | YamoriError | None] = {}
        for kind in self.kinds:
            try:
                told[kind] = agreed({disk.name: self._bound(vm.id, disk, kind) for disk in disks})
            except YamoriError as error:
                told[kind] = error
        return told

    def plan(self, vm: VM, wanted: Wanted) -> Callable[[], None]:
        """Look the disks and their threads up."""
        found = []
        for disk in self._disks(vm.id):
            threads = self._groups.threads(disk.backend, disk.name)
            if not threads and any(value is not None for value in wanted.values()):
                raise Conflict(f"no thread of this kernel serves disk {disk.name}", subject=vm.id)
            found.append((disk, threads, self._next(vm.id, disk, wanted)))
        return partial(self._apply, vm.id, found)

    def tend(self) -> None:
        """Share bounds out by use; take in threads that are new; remove groups whose disk is gone."""
        groups = self._groups.list()
        if not groups:
            return
        try:
            census = self._roster.read()
        except YamoriError:
            return  # the next second may know more
        numbers = {guest.vm: guest.domain.number for guest in census.guests}
        for group in groups:
            number = numbers.get(group.vm)
            backend = Backend(kind="vbd", domain=-1 if number is None else number, device=group.device)
            try:
                if backend in census.served:
                    self._tend(group, backend)
                else:
                    self._groups.remove(group)
            except YamoriError:
                continue  # it may be gone meanwhile; else the next second shows the same
        for gone in set(self._counted) - set(groups):
            del self._counted[gone]

    def close(self) -> None:
        """Nothing is held open; bounds stay, shared out as they are."""

    def _tend(self, group: Group, backend: Backend) -> None:
        block = self._block(backend)
        if block is None:
            return
        if not self._groups.holds(group):  # the guest has connected anew: its disk has a new thread
            name = self._roster.disk_name(backend.domain, backend.device)
            self._groups.take_in(group, self._groups.threads(backend, name))
        now, counts = time.monotonic(), self._groups.count(group, block)
        before = self._counted.get(group)
        if before is not None and now - before[0] < _SETTLED_S:
            return
        self._counted[group] = (now, counts)
        if before is None:
            return
        present = self._groups.bounds(group, block)
        anew: dict[str, int | None] = {}
        for kind, keys in _KEYS.items():
            shares = tuple(present[key] for key in keys)
            if shares[0] is None or shares[1] is None:
                continue
            used = [(counts.get(c, 0) - before[1].get(c, 0)) / (now - before[0]) for c in _COUNTS[kind]]
            split = shared(shares[0] + shares[1], (shares[0], shares[1]), (used[0], used[1]))
            if split != shares:
                anew |= dict(zip(keys, split, strict=True))
        if anew:
            self._groups.bind(group, block, anew)

    def _disks(self, vm: VMId) -> list[_Disk]:
        census = self._roster.read()
        number = census.find(vm).domain.number
        devices = self._roster.devices(number, census.served, fresh=True)
        if devices.disks_elsewhere:
            raise Unsupported("limits.disk", "a disk of the VM is served by a QEMU or another domain", subject=vm)
        if not devices.disks:
            raise Unsupported("limits.disk", "the VM has no disk", subject=vm)
        found = []
        for backend in devices.disks:
            block = self._block(backend)
            name = self._roster.disk_name(number, backend.device)
            if block is None:
                raise Conflict(f"disk {name} is not connected", subject=vm)
            found.append(_Disk(backend=backend, name=name, block=block))
        return found

    def _block(self, backend: Backend) -> Numbers | None:
        own = self._roster.backends.block(backend)
        return None if own is None else self._roster.backends.whole(own)

    def _bound(self, vm: VMId, disk: _Disk, kind: LimitKind) -> float | None:
        group = self._groups.of(vm, disk.backend.device)
        present = self._groups.bounds(group, disk.block)
        reads, writes = (present[key] for key in _KEYS[kind])
        if reads is None and writes is None:
            return None
        if reads is None or writes is None:
            raise Conflict(f"{disk.name}: reads are limited to {reads}, writes to {writes} by another hand")
        if not self._groups.holds(group):
            raise Conflict(f"{disk.name}: the thread that serves it is not held yet")
        return float(reads + writes)

    def _next(self, vm: VMId, disk: _Disk, wanted: Wanted) -> dict[str, int | None]:
        """What io.max shall say: what is not named stays, and so does how a bound that stays is shared out."""
        present = self._groups.bounds(self._groups.of(vm, disk.backend.device), disk.block)
        after = dict(present)
        for kind, value in wanted.items():
            keys = _KEYS[kind]
            if value is None:
                after |= dict.fromkeys(keys)
                continue
            bound = max(_LEAST[kind], min(_MOST, round(value)))
            if sum(present[key] or 0 for key in keys) != bound or None in (present[keys[0]], present[keys[1]]):
                after |= dict(zip(keys, halves(bound), strict=True))
        return after

    def _apply(self, vm: VMId, found: list[tuple[_Disk, frozenset[int], dict[str, int | None]]]) -> None:
        for disk, threads, after in found:
            group = self._groups.of(vm, disk.backend.device)
            if all(value is None for value in after.values()):
                self._groups.remove(group)
                continue
            self._groups.bind(group, disk.block, after)
            self._groups.take_in(group, threads)
