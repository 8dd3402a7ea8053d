"""Xen's trace stream, as xentrace writes it: changes of what vCPUs do (xen/include/public/trace.h).

A stream is windows of one CPU each: a record that names CPU and size, then so many bytes of records. A record is a
word (event, number of extra words, whether a time follows), the time stamp counter, and the extra words.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yamori.model.errors import Failed

MASK = 0x0002_1000
"""TRC_SCHED_MIN: changes of run state and little else."""
RUNNING, RUNNABLE, BLOCKED, OFFLINE = range(4)
"""RUNSTATE_*, xen/include/public/vcpu.h."""
_EVENT, _EXTRA_SHIFT, _HAS_TIME = 0x0FFF_FFFF, 28, 0x8000_0000
_CPU_CHANGE, _LOST = 0x0001_F003, 0x0001_F001
_CHANGE, _CHANGE_MASK = 0x0002_1001, 0x0FFF_FCCF
"""TRC_SCHED_RUNSTATE_CHANGE: the old state is in bits 8 and 9, the new one in 4 and 5."""
_WINDOW = struct.Struct("<III")
_WORD = struct.Struct("<I")
_USUAL = 0x9000_0000
"""One extra word, and a time: 16 bytes."""
_MOST_WINDOW = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Changes seen on one CPU. ``who`` is domain << 16 | vcpu; ``lost_at``: when records were missing."""

    cpu: int
    time: NDArray[np.int64]
    who: NDArray[np.uint32]
    old: NDArray[np.uint8]
    new: NDArray[np.uint8]
    lost_at: int | None


class Stream:
    """Cuts the stream into windows, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Window]:
        """Take a piece; return the windows that are whole now. Raises Failed when it is no such stream."""
        data = self._rest + piece
        found, at = [], 0
        while at + _WINDOW.size <= len(data):
            word, cpu, size = _WINDOW.unpack_from(data, at)
            if word & _EVENT != _CPU_CHANGE or word >> _EXTRA_SHIFT != 2 or size > _MOST_WINDOW or size % 4:
                raise Failed("xentrace writes what is no trace")
            if at + _WINDOW.size + size > len(data):
                break
            at += _WINDOW.size
            found.append(_window(cpu, data[at : at + size]))
            at += size
        self._rest = data[at:]
        return found


def _window(cpu: int, content: bytes) -> Window:
    words = np.frombuffer(content, "<u4")
    if len(words) % 4 == 0:
        rows = words.reshape(-1, 4)
        if np.all(rows[:, 0] & 0xF000_0000 == _USUAL):
            return _of_rows(cpu, rows, None)
    return _one_by_one(cpu, content)


def _of_rows(cpu: int, rows: NDArray[np.uint32], lost_at: int | None) -> Window:
    changes = rows[rows[:, 0] & _CHANGE_MASK == _CHANGE]
    time = changes[:, 1].astype(np.int64) | changes[:, 2].astype(np.int64) << 32
    return Window(
        cpu=cpu,
        time=time,
        who=changes[:, 3].astype(np.uint32),
        old=(changes[:, 0] >> 8 & 3).astype(np.uint8),
        new=(changes[:, 0] >> 4 & 3).astype(np.uint8),
        lost_at=lost_at,
    )


def _one_by_one(cpu: int, content: bytes) -> Window:
    rows: list[tuple[int, ...]] = []
    lost_at: int | None = None
    at = 0
    while at + _WORD.size <= len(content):
        (word,) = _WORD.unpack_from(content, at)
        extra = word >> _EXTRA_SHIFT & 7
        size = 4 + (8 if word & _HAS_TIME else 0) + 4 * extra
        if at + size > len(content):
            raise Failed("a record of xentrace is longer than its window")
        if word & _EVENT == _LOST:
            lost_at = struct.unpack_from("<Q", content, at + 4)[0] if word & _HAS_TIME else 0
        elif word & 0xF000_0000 == _USUAL:
            rows.append(struct.unpack_from("<IIII", content, at))
        at += size
    return _of_rows(cpu, np.array(rows, np.uint32).reshape(-1, 4), lost_at)
