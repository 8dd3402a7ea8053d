"""What labs exist on this machine, and which of them nobody will clear."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from yamori.lab.clearing import boot_id
from yamori.lab.layout import STATE_ROOT
from yamori.lab.processes import ProcessId
from yamori.lab.registry import Kind, Registry
from yamori.lab.slot import busy, holders
from yamori.lab.spec import LabSpec
from yamori.model.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """A lab found by its state on disk. ``orphaned``: its maker is gone and it was not meant to outlive it."""

    name: str
    slot: int | None
    state: str
    detached: bool
    owner_pid: int | None
    owner_alive: bool
    orphaned: bool
    processes_alive: int
    parts: dict[str, bool] = field(default_factory=dict)
    """Hosts, and the vCenter where there is one, by name: whether they are switched on."""

    def as_record(self) -> dict[str, Any]:
        """Plain values for printing."""
        return asdict(self)


def status() -> list[LabStatus]:
    """All labs of this machine, by name; also those of which only a folder or a slot is left."""
    slots = holders()
    folders = STATE_ROOT.iterdir() if STATE_ROOT.is_dir() else ()
    names = {path.name for path in folders if path.is_dir() and not path.name.startswith(".")}
    return [_status(name, slots.get(name)) for name in sorted(names | set(slots))]


def find_leftovers() -> list[LabStatus]:
    """Labs whose maker is dead and which were not meant to outlive it, or were never finished."""
    return [entry for entry in status() if entry.orphaned]


def _status(name: str, slot: int | None) -> LabStatus:
    registry = Registry(STATE_ROOT / name / "registry.jsonl")
    heads = registry.of(Kind.LAB)
    details = heads[0].details if heads else {}
    same_boot = details.get("boot") == boot_id()
    owner = _identity(str(details.get("owner", "")))
    alive = same_boot and owner is not None and owner.alive()
    state = registry.state()
    detached = bool(details.get("spec", {}).get("detached", False))
    processes = sum(process.alive() for process in registry.processes()) if same_boot else 0
    return LabStatus(
        name=name,
        slot=slot,
        state=state if same_boot or not details else f"{state}, before the last boot",
        detached=detached,
        owner_pid=owner.pid if owner else None,
        owner_alive=alive,
        orphaned=not alive and not busy(name) and not (detached and state == "up" and same_boot),
        processes_alive=processes,
        parts=_parts(registry, details.get("spec", {})) if same_boot else {},
    )


def _parts(registry: Registry, record: dict[str, Any]) -> dict[str, bool]:
    try:
        spec = LabSpec.from_record(record)
    except (Invalid, TypeError, ValueError):
        return {}  # of another version of this program
    roles = {name: f"host {name}" for name in spec.all_host_names()}
    if spec.vcenter:
        roles["vcenter"] = "vcenter"
    last = {name: registry.processes(role)[-1:] for name, role in roles.items()}
    return {name: any(process.alive() for process in found) for name, found in last.items()}


def _identity(text: str) -> ProcessId | None:
    pid, _, started = text.partition(":")
    return ProcessId(pid=int(pid), started=int(started)) if pid.isdigit() and started.isdigit() else None
