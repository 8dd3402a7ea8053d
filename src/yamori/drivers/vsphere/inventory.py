"""Hosts and VMs: one bulk call for what changes often, and one for the devices of VMs that were reconfigured."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pyVmomi import vim

from yamori.capabilities.sensing.inventory import Listing
from yamori.drivers.vsphere.collector import Found, everything, one, some
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.translate import (
    DEVICES,
    HOST_PATHS,
    VM_PATHS,
    hardware,
    host,
    host_key,
    is_template,
    vm,
    vm_id,
)
from yamori.model.errors import NotFound
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, Disk, Nic

_FRESH_SECONDS = 300.0
"""Devices are read again after this time even if the configuration's version is the same."""
_AT_ONCE = 1000
_MOST_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    version: str
    read_at: float
    hardware: tuple[tuple[Disk, ...], tuple[Nic, ...]]


class VSphereInventory:
    """Hosts and VMs of one endpoint. Templates are left out: they never run."""

    def __init__(self, connection: Connection, roster: Roster) -> None:
        self._connection = connection
        self._roster = roster
        self._known: dict[str, _Known] = {}

    async def read(self) -> Listing:
        """List everything that the account may see; what cannot be read is named in ``incomplete``."""
        return await self._connection.call(self._list, capability="inventory")

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh."""
        return await self._connection.call(
            lambda link: self._one(link, vm), capability="inventory", subject=str(vm)[:64]
        )

    def _list(self, link: Link) -> Listing:
        found = everything(link, {vim.VirtualMachine: VM_PATHS, vim.HostSystem: HOST_PATHS})
        seen = [each for each in found if each.is_vm and not is_template(each)]
        hosts = [each for each in found if not each.is_vm]
        ids = self._roster.learn_hosts(hosts)
        gaps = [*_gaps(found)]
        self._read_devices(link, seen, gaps)
        vms: list[VM] = []
        for each in seen:
            id = vm_id(each.values.get("config.instanceUuid"))
            if id is None:
                gaps.append(f"VM {each.text('name') or each.key} tells no instance UUID and cannot be shown")
                continue
            vms.append(self._translated(each, id, ids.get(host_key(each) or "")))
        gaps.extend(f"more than one VM has the id {id}" for id in self._roster.learn_doubles(v.id for v in vms))
        site = self._connection.settings.site
        return Listing(
            hosts=tuple(host(each, ids[each.key], site) for each in hosts),
            vms=tuple(vms),
            incomplete=tuple(_bounded(gaps)),
        )

    def _read_devices(self, link: Link, seen: list[Found], gaps: list[str]) -> None:
        """Have the devices of all these VMs known; those that are known and not reconfigured are not asked for."""
        now = time.monotonic()
        due = [each for each in seen if not self._is_fresh(each, now)]
        known = {each.key: self._known[each.key] for each in seen if each.key in self._known}
        for begin in range(0, len(due), _AT_ONCE):
            part = {each.key: each for each in due[begin : begin + _AT_ONCE]}
            answers = some(link, [each.ref for each in part.values()], {vim.VirtualMachine: (DEVICES,)})
            gaps.extend(_gaps(answers))
            for answer in answers:
                if answer.key in part:
                    version = part[answer.key].text("config.changeVersion") or ""
                    known[answer.key] = _Known(version=version, read_at=now, hardware=hardware(answer))
        self._known = known

    def _is_fresh(self, found: Found, now: float) -> bool:
        known = self._known.get(found.key)
        version = found.text("config.changeVersion")
        return (
            known is not None
            and version is not None
            and known.version == version
            and now - known.read_at < _FRESH_SECONDS
        )

    def _one(self, link: Link, vm: VMId) -> VM:
        found = one(link, self._roster.find(link, vm, to_act=False), (*VM_PATHS, DEVICES))
        if is_template(found):
            raise NotFound("this is a template, not a VM", subject=vm)
        version = found.text("config.changeVersion") or ""
        self._known[found.key] = _Known(version=version, read_at=time.monotonic(), hardware=hardware(found))
        return self._translated(found, vm, self._roster.host(link, host_key(found)))

    def _translated(self, found: Found, id: VMId, where: HostId | None) -> VM:
        known = self._known.get(found.key)
        return vm(
            found,
            id,
            host=where,
            hardware=((), ()) if known is None else known.hardware,
            labels=self._connection.settings.labels,
        )


def _gaps(found: Iterable[Found]) -> Iterable[str]:
    for each in found:
        if each.missing:
            what = "VM" if each.is_vm else "host"
            path, why = next(iter(each.missing.items()))
            more = f" and {len(each.missing) - 1} more" if len(each.missing) > 1 else ""
            yield f"{what} {each.text('name') or each.key}: {path}{more} cannot be read: {why}"


def _bounded(gaps: list[str]) -> list[str]:
    if len(gaps) <= _MOST_TOLD:
        return gaps
    return [*gaps[:_MOST_TOLD], f"and {len(gaps) - _MOST_TOLD} more"]
