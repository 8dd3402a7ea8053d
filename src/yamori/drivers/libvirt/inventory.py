"""Which VMs there are: names and states by few calls; definitions are read when they may have changed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from yamori.capabilities.sensing.inventory import Listing
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.families import Family
from yamori.drivers.libvirt.listing import Seen, find, read_definition
from yamori.drivers.libvirt.translate import Definition, labels_for, version
from yamori.drivers.libvirt.words import clean
from yamori.model.errors import Invalid
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, PowerState

_FRESH_SECONDS = 30.0
"""A definition that no event has touched is read again after this time: not every change has its event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    definition: Definition
    run: int
    persistent: bool
    read_at: float


class LibvirtInventory:
    """Hosts and VMs of one endpoint. ``leaving`` says whether a VM is being moved away."""

    def __init__(
        self, connection: Connection, host: HostId, family: Family, leaving: Callable[[VMId], bool]
    ) -> None:
        self._connection = connection
        self._leaving = leaving
        self._host = host
        self._family = family
        self._known: dict[VMId, _Known] = {}
        self._forgotten = 0

    def forget(self, vm: VMId | None = None) -> None:
        """Have a definition (or all) read afresh at the next listing; one that is being read does not count."""
        self._forgotten += 1
        if vm is None:
            self._known.clear()
        else:
            self._known.pop(vm, None)

    async def read(self) -> Listing:
        """List everything; a VM that vanishes meanwhile is left out, one that cannot be read is named."""
        return await self._connection.call(self._list, capability="inventory")

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh."""
        self.forget(vm)
        return await self._connection.call(
            lambda link: self._one(find(link, vm)), capability="inventory", subject=vm
        )

    async def definition(self, vm: VMId) -> Definition:
        """Read what one VM's definition says now."""
        return await self._connection.call(
            lambda link: read_definition(find(link, vm), self._connection.settings.shared_paths),
            capability="inventory",
            subject=vm,
        )

    def _list(self, link: Any) -> Listing:
        incomplete: list[str] = []
        vms: list[VM] = []
        seen = self._family.all_domains(link)
        for domain in seen:
            try:
                vms.append(self._translated(domain))
            except Invalid as error:
                incomplete.append(f"{domain.name}: {error.message}")
                vms.append(self._bare(domain))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    continue
                if not link.isAlive():
                    raise
                incomplete.append(f"{domain.name}: {clean(str(error), 200)}")
                vms.append(self._bare(domain))
        for gone in set(self._known) - {domain.id for domain in seen}:
            self._known.pop(gone, None)
        return Listing(hosts=(self._host_of(link),), vms=tuple(vms), incomplete=tuple(incomplete))

    def _one(self, handle: Any) -> VM:
        state = self._family.state(handle)
        seen = Seen(handle=handle, id=VMId(handle.UUIDString()), name=handle.name(), state=state)
        return self._translated(seen)

    def _translated(self, domain: Seen) -> VM:
        now = time.monotonic()
        known = self._known.get(domain.id)
        run = domain.handle.ID()
        if known is None or known.run != run or now - known.read_at > _FRESH_SECONDS:
            forgotten = self._forgotten
            known = _Known(
                definition=read_definition(domain.handle, self._connection.settings.shared_paths),
                run=run,
                persistent=bool(domain.handle.isPersistent()),
                read_at=now,
            )
            if forgotten == self._forgotten:
                self._known[domain.id] = known
        found = known.definition
        settings = self._connection.settings
        own = found.labels if settings.metadata_labels else {}
        return found.vm(
            host=self._host,
            state=self._certain(domain, found),
            persistent=known.persistent,
            labels=labels_for(found.id, found.name, own, settings.labels),
        )

    def _certain(self, domain: Seen, found: Definition) -> PowerState:
        """The state; of a VM in the last moments of its move nobody here knows where it runs."""
        if domain.state is PowerState.RUNNING and self._leaving(domain.id):
            try:
                if self._family.moves.may_have_left(domain.handle, found.vcpus):
                    return PowerState.UNKNOWN
            except libvirt.libvirtError:
                return PowerState.UNKNOWN
        return domain.state

    def _bare(self, domain: Seen) -> VM:
        """A VM whose definition cannot be read is shown all the same: nobody hides behind odd XML."""
        return VM(
            id=domain.id,
            name=clean(domain.name, 255) or domain.id,
            host=self._host,
            state=domain.state,
            vcpus=0,
            memory_bytes=0,
            memory_max_bytes=0,
            labels=labels_for(domain.id, clean(domain.name, 255), {}, self._connection.settings.labels),
        )

    def _host_of(self, link: Any) -> Host:
        settings = self._connection.settings
        node = link.getInfo()
        return Host(
            id=self._host,
            name=clean(link.getHostname(), 255) or self._host,
            hypervisor=settings.dialect.hypervisor,
            hypervisor_version=version(link.getVersion(), parts=settings.dialect.version_parts),
            cpus=int(settings.capacity.cpus or node[2]),
            memory_bytes=settings.capacity.memory_bytes or memory_total(link, node),
            site=settings.site,
        )


def memory_total(link: Any, node: Any) -> int | None:
    """Bytes of memory of the host."""
    try:
        total = link.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS).get("total")
    except libvirt.libvirtError:
        total = None
    return int(total) * 1024 if total else int(node[1]) << 20 or None
