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
_TIME = struct.Struct("<Q")
ROW = 16
"""Bytes of a record with a time and one extra word."""
_USUAL_TOP = b"\x90"
"""The uppermost byte of such a record's word."""
_MOST_WINDOW = 1 << 28
_LATEST = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Records of one CPU that have 16 bytes, in order of time. ``lost_at``: when records were missing.

    They are looked at many windows at a time: one by one, numpy would cost more than it saves.
    """

    cpu: int
    rows: bytes
    lost_at: int | None

    @property
    def first(self) -> int | None:
        """Time of the first record."""
        return int(_TIME.unpack_from(self.rows, 4)[0]) if self.rows else None

    @property
    def last(self) -> int | None:
        """Time of the last record."""
        return int(_TIME.unpack_from(self.rows, len(self.rows) - ROW + 4)[0]) if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """Changes of run state, as columns. ``who`` is domain << 16 | vcpu."""

    time: NDArray[np.int64]
    who: NDArray[np.uint32]
    old: NDArray[np.uint8]
    new: NDArray[np.uint8]

    def where(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Changes":
        """Return some of the changes, or all of them in another order."""
        return Changes(time=self.time[rows], who=self.who[rows], old=self.old[rows], new=self.new[rows])


def joined(one: Changes, other: Changes) -> Changes:
    """Put changes one behind the other."""
    return Changes(
        time=np.concatenate([one.time, other.time]),
        who=np.concatenate([one.who, other.who]),
        old=np.concatenate([one.old, other.old]),
        new=np.concatenate([one.new, other.new]),
    )


def changes(rows: bytes) -> Changes:
    """Read the changes of run state out of records of 16 bytes each."""
    words = np.frombuffer(rows, "<u4").reshape(-1, 4)
    words = words[words[:, 0] & _CHANGE_MASK == _CHANGE]
    return Changes(
        time=words[:, 1].astype(np.int64) | words[:, 2].astype(np.int64) << 32,
        who=words[:, 3].astype(np.uint32),
        old=(words[:, 0] >> 8 & 3).astype(np.uint8),
        new=(words[:, 0] >> 4 & 3).astype(np.uint8),
    )


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
            window = _window(cpu, data[at : at + size])
            if max(window.first or 0, window.last or 0, window.lost_at or 0) > _LATEST:
                raise Failed("a record of xentrace is of no time that can be")
            found.append(window)
            at += size
        self._rest = data[at:]
        return found


def _window(cpu: int, content: bytes) -> Window:
    if len(content) % ROW == 0 and content[3::ROW] == _USUAL_TOP * (len(content) // ROW):
        return Window(cpu=cpu, rows=content, lost_at=None)
    return _one_by_one(cpu, content)


def _one_by_one(cpu: int, content: bytes) -> Window:
    rows: list[bytes] = []
    lost_at: int | None = None
    at = 0
    while at + _WORD.size <= len(content):
        (word,) = _WORD.unpack_from(content, at)
        extra = word >> _EXTRA_SHIFT & 7
        size = 4 + (8 if word & _HAS_TIME else 0) + 4 * extra
        if at + size > len(content):
            raise Failed("a record of xentrace is longer than its window")
        if word & _EVENT == _LOST:
            lost_at = _TIME.unpack_from(content, at + 4)[0] if word & _HAS_TIME else 0
        elif word & 0xFF00_0000 == _USUAL_TOP[0] << 24:
            rows.append(content[at : at + size])
        at += size
    return Window(cpu=cpu, rows=b"".join(rows), lost_at=lost_at)
