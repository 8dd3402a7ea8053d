import asyncio
import errno
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.samples import BEGIN
from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import Failed, Invalid, NotFound
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM, PowerState
from yamori.store import Bounds, read_recording
from yamori.store import recording as recording_module
from yamori.store.chunk import MAGIC, PREFIX, Chunk, pack, unpack
from yamori.store.recording import SUFFIX, DiskRecorder

Make = Callable[..., DiskRecorder]


def frame(tick: int, vms: int = 3) -> UsageFrame:
    chance = np.random.default_rng(tick)
    values = chance.uniform(0, 1e12, (vms, len(Column)))
    values[:, Column.CPU_DELAY] = np.nan
    return UsageFrame(
        wall=BEGIN + timedelta(seconds=tick),
        vms=tuple(VMId(f"v{n}") for n in range(vms)),
        hosts=(HostId("h0"), HostId("h1")),
        host_of=np.arange(vms, dtype=np.int32) % 2,
        read_at=np.array([tick + 0.25, tick + 0.5]),
        values=values,
        host_values=chance.uniform(0, 1e12, (2, len(HostColumn))),
    )


def fleet(vms: int = 3, name: str = "vm") -> tuple[VM, ...]:
    return tuple(
        VM(
            id=VMId(f"v{n}"),
            name=f"{name} {n}",
            host=HostId("h0"),
            state=PowerState.RUNNING,
            vcpus=1,
            memory_bytes=1,
            memory_max_bytes=1,
            labels={"sla": "gold"},
        )
        for n in range(vms)
    )


def same(left: UsageFrame, right: UsageFrame) -> bool:
    arrays = ("host_of", "read_at", "values", "host_values")
    return (left.wall, left.vms, left.hosts) == (right.wall, right.vms, right.hosts) and all(
        np.array_equal(getattr(left, a), getattr(right, a), equal_nan=a != "host_of")
        and getattr(left, a).dtype == getattr(right, a).dtype
        for a in arrays
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
async def make(place: Path) -> AsyncIterator[Make]:
    made: list[DiskRecorder] = []

    def recorder(**bounds: float) -> DiskRecorder:
        made.append(DiskRecorder(place, Bounds(**bounds)))  # type: ignore[arg-type]
        return made[-1]

    yield recorder
    for one in made:
        await one.close()


def files(place: Path) -> list[Path]:
    return sorted(place.glob(f"*{SUFFIX}"))


async def test_readings_come_back_as_they_were_recorded(make: Make, place: Path) -> None:
    recorder = make()
    told = [(frame(0), fleet()), (frame(1), fleet()), (frame(2, 5), fleet(5)), (frame(3, 5), fleet(5, "renamed"))]
    for reading, vms in told:
        await recorder.append(reading, vms)
    read = list(read_recording(place))
    assert len(read) == len(told)
    for (reading, vms), (reading_back, vms_back) in zip(told, read, strict=True):
        assert same(reading, reading_back)
        assert vms == vms_back
    assert [same(a, b) for (a, _), (b, _) in zip(read_recording(files(place)[0]), told, strict=True)] == [True] * 4
    assert files(place)[0].stat().st_mode & 0o077 == 0


async def test_an_empty_fleet_is_a_reading_too(make: Make, place: Path) -> None:
    await make().append(frame(0, 0), ())
    ((reading, vms),) = read_recording(place)
    assert same(reading, frame(0, 0))
    assert vms == ()


async def test_what_did_not_change_is_written_once_a_file(make: Make, place: Path) -> None:
    recorder = make()
    await recorder.append(frame(0, 500), fleet(500))
    first = files(place)[0].stat().st_size
    await recorder.append(frame(0, 500), fleet(500))
    assert files(place)[0].stat().st_size - first < first - 500 * 8


async def test_an_inventory_that_changes_is_followed(make: Make, place: Path) -> None:
    a, b, c, d = fleet(4)
    paused = replace(b, state=PowerState.PAUSED)
    told = [(a, b, c), (a, paused, c), (a, c), (a, b, c), (d, c, a), (), (c, a), (c, a)]
    recorder = make()
    for tick, vms in enumerate(told):
        await recorder.append(frame(tick), vms)
    assert [vms for _, vms in read_recording(place)] == told
    assert len(files(place)) == 1


async def test_a_vm_on_two_hosts_at_once_is_kept_as_two(make: Make, place: Path) -> None:
    (here,) = fleet(1)
    there = replace(here, host=HostId("h1"))
    lost = replace(here, host=None)
    recorder = make()
    told = [(here,), (here, there), (there,), (there, lost)]
    for tick, vms in enumerate(told):
        await recorder.append(frame(tick), vms)
    assert [vms for _, vms in read_recording(place)] == told


async def test_a_new_file_begins_when_one_is_full_or_old(make: Make, place: Path) -> None:
    recorder = make(file_bytes=1)
    for tick in range(3):
        await recorder.append(frame(tick), fleet())
    assert len(files(place)) == 3
    recorder = make(file_s=10.0)
    for tick in (100, 105, 110, 90):
        await recorder.append(frame(tick), fleet())
    assert len(files(place)) == 6  # one from 100 s, one from 110 s, one since the clock went back
    assert len(list(read_recording(place))) == 7


async def test_the_oldest_files_go_when_there_is_too_much(make: Make, place: Path) -> None:
    probe = make()
    await probe.append(frame(0), fleet())
    size = files(place)[0].stat().st_size
    recorder = make(most_bytes=4 * size + size // 2)
    for tick in range(1, 20):
        await recorder.append(frame(tick), fleet())
        assert sum(path.stat().st_size for path in files(place)) <= 4.5 * size
    ticks = [int((reading.wall - BEGIN).total_seconds()) for reading, _ in read_recording(place)]
    assert ticks == list(range(20 - len(ticks), 20))
    assert len(ticks) >= 3


async def test_files_that_are_too_old_go(make: Make, place: Path) -> None:
    recorder = make(most_s=60.0)
    await recorder.append(frame(0), fleet())
    await recorder.close()
    (old,) = files(place)
    now = old.stat().st_mtime
    later = replace(frame(1), wall=BEGIN + timedelta(seconds=now - BEGIN.timestamp() + 61))
    await make(most_s=60.0).append(later, fleet())
    assert old not in files(place)
    assert len(files(place)) == 1


async def test_a_torn_tail_is_left_out_silently(make: Make, place: Path) -> None:
    recorder = make()
    await recorder.append(frame(0), fleet())
    whole = files(place)[0].stat().st_size
    await recorder.append(frame(1), fleet())
    (path,) = files(place)
    content = path.read_bytes()
    for end in (whole, whole + 1, whole + PREFIX.size, len(content) - 1):
        path.write_bytes(content[:end])
        assert [reading.wall for reading, _ in read_recording(path)] == [BEGIN]
    path.write_bytes(content[:whole] + bytes(1000))
    assert len(list(read_recording(path))) == 1
    path.write_bytes(content[:-3] + b"\0\0\0")
    assert len(list(read_recording(path))) == 1
    path.write_bytes(b"")
    assert list(read_recording(path)) == []


async def test_damage_in_the_middle_is_told(make: Make, place: Path) -> None:
    recorder = make()
    for tick in range(2):
        await recorder.append(frame(tick), fleet())
    (path,) = files(place)
    content = bytearray(path.read_bytes())
    content[PREFIX.size + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(Invalid, match="damaged"):
        list(read_recording(path))
    path.write_bytes(b"GIF89a and so on, this is no recording")
    with pytest.raises(Invalid, match="no chunk begins at byte 0"):
        list(read_recording(path))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(read_recording(tmp_path / f"none{SUFFIX}"))
    with pytest.raises(NotFound):
        list(read_recording(tmp_path))


def written(path: Path, *chunks: Chunk) -> Path:
    path.write_bytes(b"".join(pack(chunk) for chunk in chunks))
    return path


def whole_chunk() -> Chunk:
    reading = frame(0)
    head = {
        "wall": "2026-01-01T00:00:00Z",
        "vms": list(reading.vms),
        "hosts": list(reading.hosts),
        "inventory": [],
    }
    names = ("host_of", "read_at", "values", "host_values")
    arrays = {name: getattr(reading, name) for name in names}
    return Chunk(head=head, arrays={**arrays, "inventory": text("[]")})


def text(content: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(content.encode(), "|u1")


def without(name: str) -> Chunk:
    chunk = whole_chunk()
    return Chunk(
        head={k: v for k, v in chunk.head.items() if k != name},
        arrays={k: v for k, v in chunk.arrays.items() if k != name},
    )


def bent(name: str, value: object) -> Chunk:
    chunk = whole_chunk()
    if isinstance(value, np.ndarray):
        return Chunk(head=chunk.head, arrays={**chunk.arrays, name: value})
    return Chunk(head={**chunk.head, name: value}, arrays=chunk.arrays)


@pytest.mark.parametrize(
    "chunk",
    [
        *(without(name) for name in ("wall", "vms", "hosts", "inventory", "values", "host_of")),
        bent("wall", "yesterday"),
        bent("vms", ["v0"]),
        bent("vms", "v0"),
        bent("inventory", text('[{"id": 1}]')),
        bent("inventory", text("[")),
        bent("inventory", text("[" * 100_000)),
        bent("gone", [1]),
        bent("order", [["v0", "h0"]]),
        bent("order", ["v0"]),
        bent("values", np.zeros((3, 2))),
        bent("host_of", np.array([0, 1, 2], np.int32)),
        bent("host_of", np.array([0, 1, -1], np.int32)),
        bent("host_of", np.zeros(3)),
        bent("more", np.zeros(3)),
    ],
)
def test_a_chunk_that_does_not_fit_is_refused(chunk: Chunk, tmp_path: Path) -> None:
    path = written(tmp_path / f"x{SUFFIX}", chunk)
    with pytest.raises(Invalid):
        list(read_recording(path))
    assert len(list(read_recording(written(path, whole_chunk())))) == 1


def payload(head: bytes, rest: bytes = b"") -> bytes:
    return zlib.compress(struct.pack(">I", len(head)) + head + rest)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zlib",
        zlib.compress(b""),
        zlib.compress(b"\0\0\0\xff"),
        payload(b"{"),
        payload(b"[]"),
        payload(b"{}"),
        payload(b'{"arrays": {"x": ["<f8", [1]]}}'),
        payload(b'{"arrays": {"x": ["<f8", [-1]]}}', bytes(8)),
        payload(b'{"arrays": {"x": ["|O", [1]]}}', bytes(8)),
        payload(b'{"arrays": {"x": ["<f8", [1]]}}', bytes(9)),
        payload(b'{"arrays": {"x": ["<f8", [99999999999, 99999999999]]}}'),
        payload(b'{"arrays": {"x": ["<f8", ["a"]]}}'),
        payload(b'{"arrays": {"x": 1}}'),
        payload(b"[" * 100_000),
        payload(b"{}")[:-4],
    ],
)
def test_a_payload_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        unpack(content)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yamori.store.chunk.LARGEST", 1000)
    with pytest.raises(Invalid, match="more than is allowed"):
        unpack(zlib.compress(bytes(10_000)))
    with pytest.raises(Invalid, match="too large"):
        pack(Chunk(head={}, arrays={"x": np.random.default_rng(0).uniform(size=1000)}))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_whatever_is_in_a_file_it_is_read_or_refused(tmp_path: Path, at: int, noise: bytes) -> None:
    content = pack(whole_chunk()) + pack(whole_chunk())
    at %= len(content)
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(content[:at] + noise + content[at + len(noise) :])
    with suppress(Invalid):
        assert len(list(read_recording(path))) <= 2


async def test_readings_that_come_too_fast_are_dropped_and_counted(make: Make, place: Path) -> None:
    recorder = make(waiting=2)
    await asyncio.gather(*(recorder.append(frame(tick), fleet()) for tick in range(10)))
    assert recorder.dropped == 8
    assert len(list(read_recording(place))) == 2


async def test_a_full_disk_is_told_and_the_next_reading_tries_again(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = make()
    await recorder.append(frame(0), fleet())

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(recording_module.os, "write", full)
        with pytest.raises(Failed, match="No space left"):
            await recorder.append(frame(1), fleet())
    await recorder.append(frame(2), fleet())
    assert [int((r.wall - BEGIN).total_seconds()) for r, _ in read_recording(place)] == [0, 2]


def test_a_file_names_its_format() -> None:
    assert pack(whole_chunk()).startswith(MAGIC)
