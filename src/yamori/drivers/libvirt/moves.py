"""One migration in libvirt's words: what to ask for, and how far it is. No waiting, no threads.

`MoveWay` is what differs between the families; QEMU's is in qemumoves.py, Xen's in xenmoves.py.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.sax.saxutils import quoteattr

import libvirt

from yamori.drivers.libvirt.listing import find
from yamori.drivers.libvirt.translate import MOVE_NAMESPACE, Definition, DiskDefinition
from yamori.model.errors import Invalid, YamoriError
from yamori.model.ids import VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode

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


class MoveWay(Protocol):
    """How one family's VMs leave a host and land on one. Runs in a worker thread; may raise libvirtError."""

    def address(self) -> str | None:
        """As destination: where memory shall be sent; None leaves it to libvirt."""
        ...

    def forecast(self, link: Any, vm: VMId, *, bandwidth_bytes_s: int | None) -> Forecast:
        """Say how the VM would move, with this bandwidth at most. Raises NotFound, Invalid."""
        ...

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
        """Check what can be checked here and note the key in the VM's live metadata; None: it is under way.

        Raises NotFound, Conflict, Invalid, Unsupported.
        """
        ...

    def job(self, handle: Any, note: str) -> Mapping[str, Any]:
        """What libvirt says of the VM's job; ``note``: how keys begin that this endpoint has noted."""
        ...

    def is_arriving(self, handle: Any) -> bool:
        """Whether an active domain is the receiving side of a move."""
        ...

    def may_have_left(self, handle: Any, vcpus: int) -> bool:
        """Whether a domain under a move, which libvirt calls running, may have stopped here for good."""
        ...


def note_key(handle: Any, key: str) -> None:
    """Note the key of a move on the VM, where a restarted process finds it."""
    handle.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        f"<move key={quoteattr(key)}/>",
        "yamori-move",
        MOVE_NAMESPACE,
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )


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


def check_storage(definition: Definition, storage: StorageMode) -> list[str]:
    """Return the targets of the disks to copy. Raises Invalid when the mode does not fit the VM's disks."""
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
