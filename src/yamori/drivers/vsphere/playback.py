"""Counters out of samples: each sample is played out over the time that it is of, half a minute later.

The server tells every 20 s what the mean was. Counted at once it would look like a burst every 20 s and like
nothing in between; played out, the growth in any moment is the mean of the sample that this moment is in.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yamori.drivers.vsphere.counters import INTERVAL_S, PLAYED, Sample

DELAY_S = INTERVAL_S + 10.0
"""How far behind the server's present what is told is: one sample, and what publishing and asking for it takes."""
_MOST_SEGMENTS = 64


@dataclass(slots=True)
class _Segment:
    begin: float
    end: float
    rates: NDArray[np.float64]


@dataclass(slots=True)
class Track:
    """One VM's run: what is counted, and what is waiting to be. Times are the server's.

    ``at`` is how far it is counted, ``end`` how far samples reach. A sample is counted once, whatever the
    server repeats: only what lies behind ``end`` is taken of it.
    """

    run: str
    at: float = math.nan
    end: float = -math.inf
    consumed: float = math.nan
    ballooned: float = math.nan
    asked_at: float = -math.inf
    _sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PLAYED)))
    _known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(PLAYED), bool))
    _waiting: deque[_Segment] = field(default_factory=deque)

    def take(self, samples: Iterable[Sample], *, latest_end: float) -> bool:
        """Take samples, oldest first, but none beyond ``latest_end`` or without sense. Says if any was new."""
        new = False
        for sample in samples:
            if not (math.isfinite(sample.end_s) and math.isfinite(sample.seconds)):
                continue
            if not self.end < sample.end_s <= latest_end:
                continue
            begin = max(sample.end_s - sample.seconds, self.end)
            self._waiting.append(_Segment(begin, sample.end_s, sample.rates))
            self.end, new = sample.end_s, True
            self.consumed, self.ballooned = sample.consumed, sample.ballooned
        while len(self._waiting) > _MOST_SEGMENTS:
            self._waiting.popleft()
        return new

    def play(self, to: float) -> NDArray[np.float64]:
        """Count up to a moment and return the counters. NaN: a part of the time since the last call is not known.

        The first call only begins to count. Going back is standing still.
        """
        if math.isnan(self.at):
            self.at = to
            self._known = self._known_at(to)
        elif to > self.at:
            self._known = self._count(to)
        return np.where(self._known, self._sums, np.nan)

    def _known_at(self, moment: float) -> NDArray[np.bool_]:
        for segment in self._waiting:
            if segment.begin < moment <= segment.end:
                return ~np.isnan(segment.rates)
        return np.zeros(len(PLAYED), bool)

    def _count(self, to: float) -> NDArray[np.bool_]:
        known = np.ones(len(PLAYED), bool)
        while self._waiting and self._waiting[0].begin < to:
            segment = self._waiting[0]
            if segment.end > self.at:
                known &= ~np.isnan(segment.rates) & (segment.begin <= self.at)
                until = min(segment.end, to)
                self._sums = self._sums + np.nan_to_num(segment.rates) * (until - max(segment.begin, self.at))
                self.at = until
            if segment.end > to:
                break
            self._waiting.popleft()
        if self.at < to:
            known[:] = False
            self.at = to
        return known


class Clock:
    """The server's clock as seen from here: what it says now, and the moment that is told now.

    ``offset`` is the server's time minus our monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        self.offset = math.nan
        self._base = math.nan

    def set(self, server_s: float, monotonic_s: float) -> bool:
        """Take the server's time. Says whether its clock was put: then nothing from before fits any more."""
        offset = server_s - monotonic_s
        jumped = not abs(offset - self._base) < INTERVAL_S
        self.offset = offset
        if jumped:
            self._base = offset
        return jumped

    def server(self, monotonic_s: float) -> float:
        """What the server's clock says."""
        return monotonic_s + self.offset

    def told(self, monotonic_s: float) -> float:
        """The moment of the server's clock that is told now."""
        return self.server(monotonic_s) - DELAY_S

    def monotonic(self, server_s: float) -> float:
        """A moment of the server's clock on ours; evenly, whatever ``offset`` was learnt meanwhile."""
        return server_s - self._base
