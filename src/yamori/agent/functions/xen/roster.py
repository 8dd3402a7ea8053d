"""Which domains there are, whose VMs they are, and which devices they have, by what dom0 itself has written."""

import re
import time
import uuid
from dataclasses import dataclass

from yamori.agent.functions.xen.backends import Backend, Backends
from yamori.agent.functions.xen.library import Domain, Node, Statistics
from yamori.agent.functions.xen.store import XenStore
from yamori.model.errors import NotFound
from yamori.model.ids import VMId

DOM0 = 0
_FRESH_S = 10.0
_MOST_DEVICES = 256
_EMPTY = frozenset({"", "(none)"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """A domain's disks and cards. ``elsewhere``: not served by this kernel, but by a QEMU or a driver domain."""

    disks: tuple[Backend, ...]
    cards: tuple[Backend, ...]
    disks_elsewhere: tuple[str, ...]
    cards_elsewhere: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One domain that is a VM."""

    vm: VMId
    domain: Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The host, its VMs and what its kernel serves, at one moment."""

    node: Node
    guests: tuple[Guest, ...]
    served: frozenset[Backend]

    def find(self, vm: VMId) -> Guest:
        """Return one VM. Raises NotFound."""
        for guest in self.guests:
            if guest.vm == vm:
                return guest
        raise NotFound("there is no such VM", subject=vm)


class Roster:
    """Reads them. Blocking; for one thread."""

    def __init__(self, statistics: Statistics, store: XenStore, backends: Backends) -> None:
        self._statistics = statistics
        self.store = store
        self.backends = backends
        self._ids: dict[int, VMId] = {}
        self._devices: dict[int, tuple[float, frozenset[Backend], Devices]] = {}

    def read(self) -> Census:
        """List all VMs. Raises Failed, Unreachable."""
        node = self._statistics.read()
        present = {domain.number for domain in node.domains}
        for gone in set(self._ids) - present:
            del self._ids[gone]
        for gone in set(self._devices) - present:
            del self._devices[gone]
        guests = []
        for domain in node.domains:
            vm = None if domain.number == DOM0 or domain.dying else self._id(domain.number)
            if vm is not None:
                guests.append(Guest(vm=vm, domain=domain))
        return Census(node=node, guests=tuple(guests), served=frozenset(self.backends.list()))

    def devices(self, number: int, served: frozenset[Backend], *, fresh: bool = False) -> Devices:
        """Return a domain's devices; looked up again when what the kernel serves has changed, or after a while."""
        mine = frozenset(backend for backend in served if backend.domain == number)
        known = self._devices.get(number)
        if known is not None and not fresh and known[1] == mine and time.monotonic() - known[0] < _FRESH_S:
            return known[2]
        disks, disks_elsewhere = self._told(number, "vbd", mine)
        cards, cards_elsewhere = self._told(number, "vif", mine)
        found = Devices(disks=disks, cards=cards, disks_elsewhere=disks_elsewhere, cards_elsewhere=cards_elsewhere)
        self._devices[number] = (time.monotonic(), mine, found)
        return found

    def name(self, number: int) -> str:
        """A domain's name, as its toolstack has written it."""
        return self.store.read(f"/local/domain/{number}/name") or ""

    def disk_name(self, number: int, device: int) -> str:
        """Return a disk's name in its guest, as the toolstack has written it: ``xvda``."""
        path = self.backend_path(number, "vbd", device)
        untrusted_name = "" if path is None else self.store.read(f"{path}/dev") or ""
        return untrusted_name if re.fullmatch(r"[a-z0-9]{1,15}", untrusted_name) else f"vbd-{device}"

    def backend_path(self, number: int, kind: str, device: int) -> str | None:
        """Where a device's backend is described; libxl's own folder, which no guest can write to."""
        return self.store.read(f"/libxl/{number}/device/{kind}/{device}/backend")

    def _id(self, number: int) -> VMId | None:
        known = self._ids.get(number)
        if known is None:
            untrusted_path = self.store.read(f"/local/domain/{number}/vm") or ""
            try:
                found = uuid.UUID(untrusted_path.removeprefix("/vm/"))
            except ValueError:
                return None
            if found.int == 0:
                return None
            known = VMId(str(found))
            self._ids[number] = known
        return known

    def _told(
        self, number: int, kind: str, mine: frozenset[Backend]
    ) -> tuple[tuple[Backend, ...], tuple[str, ...]]:
        served, elsewhere = [], []
        for word in self.store.list(f"/libxl/{number}/device/{kind}")[:_MOST_DEVICES]:
            backend = Backend(kind=kind, domain=number, device=int(word)) if _is_number(word) else None
            if backend is not None and backend in mine:
                served.append(backend)
            elif not self._is_empty(number, kind, word):
                elsewhere.append(word[:32])
        return tuple(served), tuple(elsewhere)

    def _is_empty(self, number: int, kind: str, word: str) -> bool:
        """Whether it is a drive without a medium, which moves nothing."""
        path = self.store.read(f"/libxl/{number}/device/{kind}/{word}/backend")
        if kind != "vbd" or path is None:
            return False
        return (self.store.read(f"{path}/params") or "") in _EMPTY


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9
