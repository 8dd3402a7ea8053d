"""One migration in libvirt's words: what to ask for, and how far it is. No waiting, no threads."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

import libvirt

from yamori.drivers.libvirt.listing import find, read_definition
from yamori.drivers.libvirt.translate import MOVE_NAMESPACE, Definition, DiskDefinition
from yamori.model.errors import Conflict, Invalid, YamoriError
from yamori.model.ids import VMId
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode

_ALWAYS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_TLS
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
)
"""TLS is not an option here, so that no setting can take it away. Peer to peer: libvirtd goes on without us."""

_MIB = 1 << 20
_MOVABLE = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED, libvirt.VIR_DOMAIN_PAUSED)
UNDER_WAY = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What libvirt is asked for."""

    uri: str
    flags: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Bytes of memory and disks together."""

    total: int
    processed: int
    remaining: int


@dataclass(slots=True, kw_only=True)
class Move:
    """A migration away from here that this process began or has found."""

    vm: VMId
    key: str | None
    encrypted: bool | None
    phase: MigrationPhase = MigrationPhase.RUNNING
    error: YamoriError | None = None
    progress: Progress | None = None
    cancelling: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def status(self) -> MigrationStatus:
        """The move as a value."""
        known = self.progress
        if known is not None and self.phase is MigrationPhase.SUCCEEDED:
            known = Progress(total=known.total, processed=known.total, remaining=0)
        return MigrationStatus(
            vm=self.vm,
            phase=self.phase,
            total_bytes=None if known is None else known.total,
            processed_bytes=None if known is None else known.processed,
            remaining_bytes=None if known is None else known.remaining,
            encrypted=self.encrypted,
            error=None if self.error is None else self.error.message,
        )


def prepare(
    link: Any,
    vm: VMId,
    landing: Landing,
    *,
    storage: StorageMode,
    bandwidth_bytes_s: int | None,
    key: str,
    shared_paths: tuple[str, ...],
) -> Request | None:
    """Check what can be checked here and note the key in the VM's live metadata; None: it is under way already.

    Raises NotFound, Conflict, Invalid.
    """
    handle = find(link, vm)
    definition = read_definition(handle, shared_paths)
    job = handle.jobStats()
    if job.get("type") in UNDER_WAY:
        if job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT and definition.move_key == key:
            return None
        raise Conflict("the VM is being moved, or another job on it is under way", subject=vm)
    if handle.state()[0] not in _MOVABLE:
        raise Conflict("the VM is not running", subject=vm)
    flags, parameters = _ALWAYS, _parameters(landing, bandwidth_bytes_s)
    copied = _copied_disks(definition, storage)
    if copied:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = copied
    if handle.isPersistent():
        flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    handle.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        f"<move key={quoteattr(key)}/>",
        "yamori-move",
        MOVE_NAMESPACE,
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )
    return Request(uri=landing.uri, flags=flags, parameters=parameters)


def perform(link: Any, vm: VMId, request: Request) -> None:
    """Move the VM; blocks until the move has ended."""
    find(link, vm).migrateToURI3(request.uri, dict(request.parameters), request.flags)


def progress_of(job: Mapping[str, Any]) -> Progress | None:
    """How far a job is; None when it has no numbers yet."""
    total = job.get("data_total")
    if not isinstance(total, int) or total <= 0:
        return None
    processed, remaining = int(job.get("data_processed", 0)), int(job.get("data_remaining", 0))
    return Progress(total=total, processed=processed, remaining=remaining)


def is_outgoing(job: Mapping[str, Any]) -> bool:
    """Whether a job is a migration away from here, under way."""
    return job.get("type") in UNDER_WAY and job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT


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


def _copied_disks(definition: Definition, storage: StorageMode) -> list[str]:
    """Targets of the disks to copy. Raises Invalid when the mode does not fit the VM's disks."""
    unknown = [d for d in definition.disks if d.medium and d.kind == "network" and d.disk.shared is not True]
    if unknown:
        raise Invalid(_unsure(unknown), subject=definition.id, mend="name its folder in shared_paths if it is")
    local = [d for d in definition.disks if d.medium and d.disk.shared is not True]
    if storage is StorageMode.SHARED:
        if local:
            raise Invalid(
                f"{_named(local)} is not known to be shared",
                subject=definition.id,
                mend="copy the storage, or name its folder in shared_paths",
            )
        return []
    copied = [d.disk.target for d in local if not d.disk.read_only]
    if not copied:
        raise Invalid("all disks are shared: copying would overwrite them", subject=definition.id)
    return copied


def _unsure(disks: list[DiskDefinition]) -> str:
    return f"cannot tell whether both hosts reach {_named(disks)} through the same socket"


def _named(disks: list[DiskDefinition]) -> str:
    return "disk " + ", ".join(d.disk.target for d in disks)
