"""The record of everything a lab makes, written and synced to disk *before* the thing is made.

One JSON object a line, only ever appended; a line torn by a crash is the last one and names nothing that exists.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from yamori.lab.processes import ProcessId
from yamori.model.errors import Failed


class Kind(StrEnum):
    """What a record stands for."""

    LAB = "lab"
    STATE = "state"
    PROCESS = "process"
    NETNS = "netns"
    LINK = "link"
    CGROUP = "cgroup"
    DIRECTORY = "directory"
    FACT = "fact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line: its kind, the id of the thing within the kind, and what else is known of it."""

    kind: Kind
    id: str
    details: dict[str, Any]


class Registry:
    """Append-only file of records; safe to append from several threads of one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def create(self) -> None:
        """Make the file and its folder durable; the folder is readable for the hypervisor's user."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.parent.chmod(0o755)
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _sync_directory(self._path.parent)
        _sync_directory(self._path.parent.parent)

    def append(self, kind: Kind, id: str, **details: Any) -> None:
        """Store one record; it is on disk when this returns."""
        line = json.dumps({"kind": kind, "id": id, **details}, sort_keys=True).encode() + b"\n"
        with self._lock:
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line
                os.write(handle, line)
                os.fsync(handle)
            finally:
                os.close(handle)

    def process(self, identity: ProcessId, role: str) -> None:
        """Record a process by pid and start time."""
        self.append(Kind.PROCESS, f"{identity.pid}:{identity.started}", role=role)

    def records(self) -> Iterator[Record]:
        """All readable records, oldest first; a torn line is passed over."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            record = _parse(line)
            if record is not None:
                yield record

    def of(self, kind: Kind) -> list[Record]:
        """The records of one kind, oldest first."""
        return [record for record in self.records() if record.kind is kind]

    def lab(self) -> Record:
        """The head record; raises Failed when the file has none (torn before the first line was complete)."""
        for record in self.of(Kind.LAB):
            return record
        raise Failed(f"{self._path} has no head record")

    def state(self) -> str:
        """``creating``, ``up`` or ``clearing``."""
        states = self.of(Kind.STATE)
        return states[-1].id if states else "creating"

    def fact(self, name: str) -> Any:
        """The last value recorded under a name, or None."""
        values = [record.details.get("value") for record in self.of(Kind.FACT) if record.id == name]
        return values[-1] if values else None

    def processes(self, role: str | None = None) -> list[ProcessId]:
        """Recorded processes, all or of one role, oldest first."""
        found = []
        for record in self.of(Kind.PROCESS):
            if role is None or record.details.get("role") == role:
                pid, _, started = record.id.partition(":")
                found.append(ProcessId(pid=int(pid), started=int(started)))
        return found


def _parse(line: str) -> Record | None:
    try:
        fields = json.loads(line)
        kind, id = Kind(fields.pop("kind")), str(fields.pop("id"))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return Record(kind=kind, id=id, details=fields)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
