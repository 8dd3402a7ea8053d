"""One move in the server's words: what is asked for, and what must be proven before. Decisions, few calls."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from pyVmomi import vim

from yamori.drivers.vsphere.collector import Found, one, some
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.tasks import Standing
from yamori.model.errors import Conflict, Invalid, Unsupported
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, MigrationStatus, StorageMode

FAMILY = "vsphere"
REQUIRED = "required"
KEY = "yamori.move"
"""Extra setting of the VM that notes the key of our last move, so that a restarted process knows it again."""
PATHS = (
    "config.extraConfig",
    "config.migrateEncryption",
    "config.template",
    "recentTask",
    "resourcePool",
    "runtime.connectionState",
    "runtime.host",
    "runtime.powerState",
    "summary.storage.committed",
)
_RELOCATING = ("VirtualMachine.relocate", "VirtualMachine.migrate", "Drm.ExecuteVMotionLRO")


@dataclass(slots=True, kw_only=True)
class Move:
    """One move as this process knows it. ``encrypted`` is None when nobody can tell."""

    vm: VMId
    key: str | None
    task: Any
    encrypted: bool | None
    cancelling: bool = False
    phase: MigrationPhase = MigrationPhase.RUNNING
    error: str | None = None

    def take(self, standing: Standing, words: str | None) -> None:
        """Note how the task stands; ``words`` tell its fault."""
        if not standing.ended:
            return
        if standing.error is None:
            self.phase = MigrationPhase.SUCCEEDED
        else:
            self.phase = MigrationPhase.CANCELLED if self.cancelling else MigrationPhase.FAILED
            self.error = None if self.cancelling else words

    def status(self) -> MigrationStatus:
        """In the model's words. The server tells a percentage at most, so no bytes."""
        return MigrationStatus(vm=self.vm, phase=self.phase, encrypted=self.encrypted, error=self.error)


def uri_of(server_id: str, host: Any) -> str:
    """How a landing names a host: the server and the server's key."""
    return f"vsphere://{quote(server_id, safe='-')}/{quote(host._moId, safe='-')}"


def host_in(uri: str, link: Link) -> Any:
    """The host that a landing names. Raises Invalid when it is not of this server."""
    parts = urlsplit(uri)
    key = parts.path.removeprefix("/")
    if parts.scheme != FAMILY or parts.netloc != quote(link.server_id, safe="-") or not key or "/" in key:
        raise Invalid("the landing is not of this server: moves between servers are not offered")
    return vim.HostSystem(key, link.wire)


def offered(told: list[Any]) -> bool:
    """Whether the server tells of any VM how its moves are encrypted: only then can it be proven."""
    return any(isinstance(each, str) and each for each in told)


def prove(told: Any, vm: VMId) -> None:
    """Raise Unsupported unless the server itself says that the VM's moves must be encrypted."""
    if told != REQUIRED:
        said = "nothing" if not isinstance(told, str) else repr(told[:40])
        raise Unsupported(
            "migration.encrypted",
            f"asked whether moves of the VM must be encrypted the server says {said}: "
            "nothing is moved unless encryption is proven required",
            subject=vm,
        )


def noted_key(found: Found) -> str | None:
    """The key of our last move, as noted on the VM."""
    for each in found.values.get("config.extraConfig") or []:
        if getattr(each, "key", None) == KEY and isinstance(each.value, str):
            return str(each.value)[:200]
    return None


def preparation(key: str) -> Any:
    """The reconfiguration before a move: encryption required, and the key noted."""
    return vim.vm.ConfigSpec(migrateEncryption=REQUIRED, extraConfig=[vim.option.OptionValue(key=KEY, value=key)])


def under_way(link: Link, found: Found) -> Any:
    """The VM's relocation that runs or waits to, None when there is none. Raises faults."""
    tasks = found.values.get("recentTask") or []
    for task in some(link, tasks, {vim.Task: ("info.descriptionId", "info.state")}):
        running = str(task.values.get("info.state")) in ("running", "queued")
        if running and str(task.values.get("info.descriptionId")).startswith(_RELOCATING):
            return task.ref
    return None


def specification(link: Link, found: Found, host: Any, storage: StorageMode) -> Any:
    """What to ask of RelocateVM_Task. Raises Conflict when no datastore has room, faults."""
    spec = vim.vm.RelocateSpec(host=host)
    parent = one(link, host, ("parent",)).values.get("parent")
    pool = found.values.get("resourcePool")
    if parent is not None and pool is not None and one(link, pool, ("owner",)).values.get("owner") != parent:
        spec.pool = one(link, parent, ("resourcePool",)).values.get("resourcePool")
    if storage is StorageMode.COPIED:
        spec.datastore = _roomiest(link, host, found.number("summary.storage.committed") or 0)
    return spec


def _roomiest(link: Link, host: Any, needed: int) -> Any:
    refs = one(link, host, ("datastore",)).values.get("datastore") or []
    paths = ("summary.accessible", "summary.freeSpace", "summary.maintenanceMode")
    fit = [
        (each.number("summary.freeSpace") or 0, each.ref)
        for each in some(link, refs, {vim.Datastore: paths})
        if each.values.get("summary.accessible") is True
        and str(each.values.get("summary.maintenanceMode") or "normal") == "normal"
    ]
    free, ref = max(fit, key=lambda pair: pair[0], default=(0, None))
    if ref is None or free < needed:
        raise Conflict(f"no datastore of the host has the {needed} B free that the VM needs")
    return ref
