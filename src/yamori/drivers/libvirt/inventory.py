"""Which VMs there are: one bulk call for names and states; definitions are read when they may have changed."""

import time
from dataclasses import dataclass
from typing import Any

import libvirt

from yamori.capabilities.sensing.inventory import Listing
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.translate import (
    Definition,
    definition,
    labels_for,
    may_be_changing_hosts,
    state,
    version,
    vm_id,
)
from yamori.drivers.libvirt.words import clean
from yamori.model.errors import Invalid, NotFound
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One domain of a bulk reading, before its definition is looked at."""

    handle: Any
    id: VMId
    name: str
    state: PowerState


class LibvirtInventory:
    """Hosts and VMs of one endpoint."""

    def __init__(self, connection: Connection, host: HostId) -> None:
        self._connection = connection
        self._host = host
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
        seen = all_domains(link, bulk=self._connection.settings.dialect.bulk_stats)
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
        code, reason = handle.state()[:2]
        seen = Seen(
            handle=handle, id=VMId(handle.UUIDString()), name=handle.name(), state=_settled(handle, code, reason)
        )
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
            state=domain.state,
            persistent=known.persistent,
            labels=labels_for(found.id, found.name, own, settings.labels),
        )

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
            hypervisor_version=version(link.getVersion()),
            cpus=int(settings.capacity.cpus or node[2]),
            memory_bytes=settings.capacity.memory_bytes or memory_total(link, node),
            site=settings.site,
        )


def all_domains(link: Any, *, bulk: bool) -> list[Seen]:
    """All domains with their states; in one call where the family has it."""
    if bulk:
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        rows = link.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, flags)
        return _seen((handle, s.get("state.state"), s.get("state.reason")) for handle, s in rows)
    return _seen((handle, *_state_of(handle)) for handle in link.listAllDomains())


def _seen(rows: Any) -> list[Seen]:
    found = []
    for handle, code, reason in rows:
        vm = vm_id(handle.UUIDString())
        if vm is not None:
            found.append(Seen(handle=handle, id=vm, name=handle.name(), state=_settled(handle, code, reason)))
    return found


def _settled(handle: Any, code: int | None, reason: int | None) -> PowerState:
    """The state; of a VM that a move may have stopped, ask which side of the move this is."""
    if not may_be_changing_hosts(code, reason):
        return state(code, reason)
    try:
        return PowerState.INCOMING if is_arriving(handle) else PowerState.PAUSED
    except libvirt.libvirtError:
        return PowerState.UNKNOWN


def is_arriving(handle: Any) -> bool:
    """Whether an active domain is the receiving side of a move: libvirt refuses to tell such a side's progress."""
    try:
        job = handle.jobStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            return True
        raise
    return bool(job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)


def _state_of(handle: Any) -> tuple[int | None, int | None]:
    try:
        code, reason = handle.state()[:2]
    except libvirt.libvirtError:
        return None, None
    return code, reason


def find(link: Any, vm: VMId) -> Any:
    """Look one domain up. Raises NotFound for what is no id, libvirtError otherwise."""
    known = vm_id(vm)
    if known is None:
        raise NotFound("there is no such VM", subject=vm)
    return link.lookupByUUIDString(known)


def read_definition(handle: Any, shared_paths: tuple[str, ...]) -> Definition:
    """Read one domain's present definition, without its secrets."""
    return definition(handle.XMLDesc(0), shared_paths=shared_paths)


def memory_total(link: Any, node: Any) -> int | None:
    """Bytes of memory of the host."""
    try:
        total = link.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS).get("total")
    except libvirt.libvirtError:
        total = None
    return int(total) * 1024 if total else int(node[1]) << 20 or None
