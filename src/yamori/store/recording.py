"""Readings of the fleet on disk, bounded in size and age: what ``yamori policy replay`` replays."""

import asyncio
import logging
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import Failed, Invalid, NotFound
from yamori.model.ids import HostId, VMId
from yamori.model.plain import from_plain, to_plain
from yamori.model.vm import VM
from yamori.store.census import CHANGED, CensusReader, CensusTaker
from yamori.store.chunk import LARGEST, MAGIC, PREFIX, Chunk, pack, unpack
from yamori.store.waiting import finish

LOG = logging.getLogger(__name__)

SUFFIX = ".yrec"
ARRAYS = ("host_of", "read_at", "values", "host_values")
_SAME = ("vms", "hosts")
"""Members of a head that are left out of a chunk when they are the same as in the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept, all files together; the oldest go first.

    A file is closed before it passes ``file_bytes``, or a quarter of ``most_bytes`` if that is less, unless one
    reading alone is larger; or once it is ``file_s`` old. ``waiting`` readings may wait for the disk.
    """

    most_bytes: int = 256 * 1024 * 1024
    most_s: float = 7 * 86_400.0
    file_bytes: int = 32 * 1024 * 1024
    file_s: float = 3600.0
    waiting: int = 4


class DiskRecorder:
    """Fulfils ``control.records.Recorder``. A reading that comes while too many wait is dropped and counted."""

    def __init__(self, directory: Path, bounds: Bounds) -> None:
        self.dropped = 0
        self._directory = directory
        self._bounds = bounds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="yamori-recorder")
        self._waiting = 0
        self._file: int | None = None
        self._written = 0
        self._began = datetime.min.replace(tzinfo=UTC)
        self._file_bytes = min(bounds.file_bytes, bounds.most_bytes // 4)
        self._last: dict[str, Any] = {}
        self._census = CensusTaker()

    async def append(self, frame: UsageFrame, vms: Sequence[VM]) -> None:
        """Record one reading. Raises Failed when the disk does not take it; the next one tries a new file."""
        if self._waiting >= self._bounds.waiting:
            self.dropped += 1
            return
        self._waiting += 1
        try:
            await finish(self._thread, lambda: self._append(frame, tuple(vms)))
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Finish what waits and close the file. Idempotent."""
        await asyncio.to_thread(self._thread.shutdown)
        self._close_file()

    def _append(self, frame: UsageFrame, vms: tuple[VM, ...]) -> None:
        try:
            file, content = self._file, pack(self._chunk(frame, vms))
            if file is None or self._full(frame.wall, len(content)):
                self._close_file()
                # A file stands by itself: its first chunk says everything.
                self._last = {}
                self._census.forget()
                content = pack(self._chunk(frame, vms))
                file = self._file = self._open_file(frame.wall, len(content))
            self._write(file, content)
        except OSError as error:
            self._close_file()
            raise Failed(f"the recording cannot be written: {error.strerror}") from error

    def _full(self, now: datetime, more: int) -> bool:
        age = (now - self._began).total_seconds()
        return self._written + more > self._file_bytes or not 0 <= age < self._bounds.file_s

    def _open_file(self, now: datetime, first: int) -> int:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._make_room(now, max(first, self._file_bytes))
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(3)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._written, self._began = 0, now
        return os.open(self._directory / name, flags, 0o600)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, file: int, content: bytes) -> None:
        view = memoryview(content)
        while view:
            done = os.write(file, view)
            self._written += done
            view = view[done:]

    def _chunk(self, frame: UsageFrame, vms: tuple[VM, ...]) -> Chunk:
        told, arrays = self._census.changes(vms)
        head: dict[str, Any] = {"wall": to_plain(frame.wall), "vms": frame.vms, "hosts": frame.hosts, **told}
        for name in _SAME:
            if self._last.get(name) == head[name]:
                del head[name]
            else:
                self._last[name] = head[name]
        return Chunk(head=head, arrays={**{name: getattr(frame, name) for name in ARRAYS}, **arrays})

    def _make_room(self, now: datetime, needed: int) -> None:
        """Remove the oldest files until a new one has room."""
        files = _files(self._directory)
        sizes = {path: path.stat().st_size for path in files}
        total = sum(sizes.values())
        oldest = now.timestamp() - self._bounds.most_s
        for path in files:
            if total + needed <= self._bounds.most_bytes and path.stat().st_mtime >= oldest:
                continue
            path.unlink(missing_ok=True)
            total -= sizes[path]


def read_recording(path: Path) -> Iterator[tuple[UsageFrame, tuple[VM, ...]]]:
    """Read the readings of one file, or of all files in a directory, oldest first.

    A torn tail, which a crash leaves, ends its file silently. Raises NotFound, and Invalid for a file that is
    damaged elsewhere or is no recording.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise NotFound(f"there is no file *{SUFFIX}", subject=str(path))
    for file in files:
        yield from _read_file(file)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{SUFFIX}"))


def _read_file(path: Path) -> Iterator[tuple[UsageFrame, tuple[VM, ...]]]:
    known: dict[str, Any] = {}
    census = CensusReader()
    try:
        for payload in _payloads(path):
            chunk = unpack(payload)
            for name in _SAME:
                if name in chunk.head:
                    known[name] = from_plain(tuple[str, ...], chunk.head[name], where=name)
            yield _frame(chunk, known["vms"], known["hosts"]), census.follow(chunk)
    except (Invalid, KeyError) as error:
        what = error.message if isinstance(error, Invalid) else f"{error} is missing"
        raise Invalid(f"is damaged, or no recording: {what}", subject=str(path)) from None


def _payloads(path: Path) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound("there is no such recording", subject=str(path)) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        while len(prefix := file.read(PREFIX.size)) == PREFIX.size:
            magic, length, checksum = PREFIX.unpack(prefix)
            begin = file.tell()
            if magic != MAGIC or length > LARGEST:
                if not (prefix + file.read(LARGEST)).strip(b"\0"):
                    return  # a torn tail: the file had grown, its content was not on disk yet
                raise Invalid(f"no chunk begins at byte {begin - PREFIX.size}")
            if begin + length > size:
                return  # a torn tail
            payload = file.read(length)
            if zlib.crc32(payload) != checksum:
                if begin + length == size:
                    return
                raise Invalid(f"the chunk at byte {begin - PREFIX.size} is damaged")
            yield payload


def _frame(chunk: Chunk, vms: tuple[VMId, ...], hosts: tuple[HostId, ...]) -> UsageFrame:
    shapes = {
        "host_of": (len(vms),),
        "read_at": (len(hosts),),
        "values": (len(vms), len(Column)),
        "host_values": (len(hosts), len(HostColumn)),
    }
    arrays = {name: array for name, array in chunk.arrays.items() if name != CHANGED}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise Invalid("its arrays do not fit its VMs and hosts")
    host_of = arrays["host_of"]
    if host_of.dtype.kind != "i" or (len(vms) and not 0 <= host_of.min() <= host_of.max() < len(hosts)):
        raise Invalid("a VM is on a host that is not listed")
    wall = from_plain(datetime, chunk.head.get("wall"), where="wall")
    return UsageFrame(wall=wall, vms=vms, hosts=hosts, **arrays)
