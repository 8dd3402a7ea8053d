"""Live moves between QEMU hosts: QEMU itself encrypts memory and disks."""

from collections.abc import Mapping
from typing import Any

import libvirt

from yamori.drivers.libvirt.listing import find, is_arriving, read_definition
from yamori.drivers.libvirt.moves import UNDER_WAY, Request, check_storage, note_key
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.errors import Conflict
from yamori.model.ids import VMId
from yamori.model.migration import Forecast, Landing, StorageMode

_ALWAYS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_TLS
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
)
"""TLS is not an option here, so that no setting can take it away. Peer to peer: libvirtd goes on without us."""


_AIM = "the longest pause that QEMU aims at"
_NO_AIM = "QEMU does not tell which pause it aims at"
_MIB = 1 << 20
_MOVABLE = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED, libvirt.VIR_DOMAIN_PAUSED)


class QemuMoves:
    """How VMs leave a QEMU host and land on one."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings

    def address(self) -> str | None:
        """What the operator has named."""
        given = self._settings.migrate_to
        return None if given is None else given.address

    def forecast(self, link: Any, vm: VMId, *, bandwidth_bytes_s: int | None) -> Forecast:
        """Always live; QEMU slows a guest down until its rest fits into the longest pause that it aims at."""
        del bandwidth_bytes_s
        handle = find(link, vm)
        try:
            milliseconds = handle.migrateGetMaxDowntime()
        except libvirt.libvirtError:  # it does not run, or this libvirt cannot tell
            return Forecast(live=True, downtime_s=None, why=_NO_AIM)
        return Forecast(live=True, downtime_s=milliseconds / 1000, why=_AIM)

    def prepare(
        self,
        link: Any,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        stopping: bool,
    ) -> Request | None:
        """Check what can be checked here and note the key; None: that move is under way already."""
        del stopping  # nothing has to
        handle = find(link, vm)
        definition = read_definition(handle, self._settings.shared_paths)
        job = handle.jobStats()
        if job.get("type") in UNDER_WAY:
            outgoing = job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
            if outgoing and definition.move_key == key:
                return None
            raise Conflict("the VM is being moved, or another job on it is under way", subject=vm)
        if handle.state()[0] not in _MOVABLE:
            raise Conflict("the VM is not running", subject=vm)
        flags, parameters = _ALWAYS, _parameters(landing, bandwidth_bytes_s)
        copied = check_storage(definition, storage)
        if copied:
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
            parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = copied
        if handle.isPersistent():
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        note_key(handle, key)
        return Request(uri=landing.uri, flags=flags, parameters=parameters)

    def job(self, handle: Any, note: str) -> Mapping[str, Any]:
        """What libvirt says of the VM's job."""
        del note
        told: Mapping[str, Any] = handle.jobStats()
        return told

    def is_arriving(self, handle: Any) -> bool:
        """Whether an active domain is the receiving side of a move."""
        return is_arriving(handle)

    def may_have_left(self, handle: Any, vcpus: int) -> bool:
        """libvirt knows: it calls such a VM paused."""
        del handle, vcpus
        return False


def _parameters(landing: Landing, bandwidth_bytes_s: int | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if landing.address is not None:
        bracketed = (
            f"[{landing.address}]" if ":" in landing.address and "[" not in landing.address else landing.address
        )
        parameters[libvirt.VIR_MIGRATE_PARAM_URI] = f"tcp://{bracketed}"
    if landing.tls_name is not None:
        parameters[libvirt.VIR_MIGRATE_PARAM_TLS_DESTINATION] = landing.tls_name
    if bandwidth_bytes_s is not None:
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(1, bandwidth_bytes_s // _MIB)
    return parameters
