"""Hosts and VMs of one Xen host, as its dom0 sees them: those that run; what is only defined, libvirt knows."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from yamori.agent.functions.xen.backends import Backend
from yamori.agent.functions.xen.library import version
from yamori.agent.functions.xen.roster import Census, Devices, Guest, Roster
from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import Unreachable
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, Disk, Nic, PowerState

T = TypeVar("T")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    devices: Devices
    name: str
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]


class XenInventory:
    """The sensing capability ``inventory``. Blocking work is done by ``thread``."""

    def __init__(self, roster: Roster, host: HostId, thread: Executor) -> None:
        self._roster = roster
        self._host = host
        self._thread = thread
        self._closed = False
        self._known: dict[int, _Described] = {}

    async def read(self) -> Listing:
        """List the host and all VMs that run."""
        return await self._do(self._list)

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh."""

        def one() -> VM:
            census = self._roster.read()
            return self._shape(census.find(vm), census)

        return await self._do(one)

    def close(self) -> None:
        """What comes after is unreachable."""
        self._closed = True

    def _list(self) -> Listing:
        census = self._roster.read()
        major, minor = version()
        host = Host(
            id=self._host,
            name=self._host,
            hypervisor="Xen",
            hypervisor_version=f"{major}.{minor}",
            cpus=census.node.cpus,
            memory_bytes=census.node.memory,
        )
        return Listing(hosts=(host,), vms=tuple(self._shape(guest, census) for guest in census.guests))

    def _shape(self, guest: Guest, census: Census) -> VM:
        domain = guest.domain
        described = self._described(domain.number, census)
        return VM(
            id=guest.vm,
            name=described.name or guest.vm,
            host=self._host,
            state=_state(guest),
            vcpus=domain.vcpus,
            memory_bytes=domain.memory,
            memory_max_bytes=max(domain.memory, domain.memory_max),
            disks=described.disks,
            nics=described.nics,
            persistent=False,
        )

    def _described(self, number: int, census: Census) -> _Described:
        """What the toolstack has written of a domain; read again when its devices are."""
        devices = self._roster.devices(number, census.served)
        known = self._known.get(number)
        if known is None or known.devices is not devices:
            untrusted_name = self._roster.name(number)
            known = _Described(
                devices=devices,
                name=_UNPRINTABLE.sub(" ", untrusted_name[:255]).strip(),
                disks=tuple(self._disk(disk) for disk in devices.disks),
                nics=tuple(self._nic(card) for card in devices.cards),
            )
            self._known[number] = known
        for gone in set(self._known) - {domain.number for domain in census.node.domains}:
            del self._known[gone]
        return known

    def _disk(self, disk: Backend) -> Disk:
        backends = self._roster.backends
        block = backends.block(disk)
        return Disk(
            target=self._roster.disk_name(disk.domain, disk.device),
            capacity_bytes=None if block is None else backends.size(block),
            read_only=backends.read_only(disk),
        )

    def _nic(self, card: Backend) -> Nic:
        path = self._roster.backend_path(card.domain, "vif", card.device)
        told = {
            key: "" if path is None else (self._roster.store.read(f"{path}/{key}") or "")
            for key in ("mac", "bridge")
        }
        untrusted_mac = told["mac"].lower()
        names = self._roster.backends.card_names(card)
        return Nic(
            target=names[0] if names else None,
            mac=untrusted_mac if _MAC.fullmatch(untrusted_mac) else "",
            network=_UNPRINTABLE.sub(" ", told["bridge"][:64]).strip() or None,
        )

    async def _do(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise Unreachable("the session is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _state(guest: Guest) -> PowerState:
    domain = guest.domain
    if domain.crashed:
        return PowerState.CRASHED
    if domain.shut_down:
        return PowerState.STOPPED
    return PowerState.PAUSED if domain.paused else PowerState.RUNNING
