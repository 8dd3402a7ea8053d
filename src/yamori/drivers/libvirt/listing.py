"""Which domains a libvirt has, and in which state: here is decided how many calls that costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import libvirt

from yamori.drivers.libvirt.translate import Definition, definition, may_be_changing_hosts, state, vm_id
from yamori.model.errors import NotFound
from yamori.model.ids import VMId
from yamori.model.vm import PowerState

_CONTROL_DOMAIN = 0
"""Number of Xen's Dom0, which is the host and no VM. No other family counts from 0."""
_INACTIVE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One domain of a bulk reading, before its definition is looked at."""

    handle: Any
    id: VMId
    name: str
    state: PowerState


def by_bulk_statistics(link: Any) -> list[Seen]:
    """All domains in one call."""
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    rows = link.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, flags)
    return _seen((handle, s.get("state.state"), s.get("state.reason")) for handle, s in rows)


def by_filtered_lists(link: Any) -> list[Seen]:
    """All domains in three calls, and two for each that does not run.

    Who runs is asked first: what the later list shows to have begun or ended since is asked for itself.
    """
    running = _ids(link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING))
    stored = _ids(link.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT))
    found = []
    for handle in link.listAllDomains(0):
        told, vm = handle.UUIDString(), vm_id(handle.UUIDString())
        if vm is None or handle.ID() == _CONTROL_DOMAIN:
            continue
        runs = told in running and handle.ID() != _INACTIVE
        now = PowerState.RUNNING if runs else _stored_or_arriving(handle, stored=told in stored)
        found.append(Seen(handle=handle, id=vm, name=handle.name(), state=now))
    return found


def find(link: Any, vm: VMId) -> Any:
    """Look one domain up. Raises NotFound for what is no id of a VM, libvirtError otherwise."""
    known = vm_id(vm)
    if known is None:
        raise NotFound("there is no such VM", subject=vm)
    handle = link.lookupByUUIDString(known)
    if handle.ID() == _CONTROL_DOMAIN:
        raise NotFound("there is no such VM", subject=vm)
    return handle


def read_definition(handle: Any, shared_paths: tuple[str, ...]) -> Definition:
    """Read one domain's present definition, without its secrets."""
    return definition(handle.XMLDesc(0), shared_paths=shared_paths)


def state_of_one(handle: Any) -> PowerState:
    """One domain's state, where libvirt marks a VM that arrives. Raises libvirtError."""
    code, reason = handle.state()[:2]
    return settled(handle, code, reason)


def state_of_stored_or_arriving(handle: Any) -> PowerState:
    """The same where it does not (Xen). Raises libvirtError."""
    return _of_codes(handle, *handle.state()[:2], stored=bool(handle.isPersistent()))


def _stored_or_arriving(handle: Any, *, stored: bool) -> PowerState:
    try:
        return _of_codes(handle, *handle.state()[:2], stored=stored)
    except libvirt.libvirtError:
        return PowerState.UNKNOWN


def _of_codes(handle: Any, code: int | None, reason: int | None, *, stored: bool) -> PowerState:
    """A VM that arrives is off without being stored, then paused with a job that has no end of its own."""
    if code == libvirt.VIR_DOMAIN_SHUTOFF and not stored:
        return PowerState.INCOMING
    if code == libvirt.VIR_DOMAIN_PAUSED and handle.jobStats().get("type") != libvirt.VIR_DOMAIN_JOB_NONE:
        return PowerState.INCOMING
    return state(code, reason)


def settled(handle: Any, code: int | None, reason: int | None) -> PowerState:
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


def _seen(rows: Iterable[tuple[Any, int | None, int | None]]) -> list[Seen]:
    found = []
    for handle, code, reason in rows:
        vm = vm_id(handle.UUIDString())
        if vm is not None and handle.ID() != _CONTROL_DOMAIN:
            found.append(Seen(handle=handle, id=vm, name=handle.name(), state=settled(handle, code, reason)))
    return found


def _ids(handles: Iterable[Any]) -> set[str]:
    return {handle.UUIDString() for handle in handles}
