"""The last few readings, kept as they came; looked at only for hosts in trouble."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One reading: what was used, and how far each objective was filled (1.0 = at its bound).

    ``previous`` leads from its rows to those of the moment before; None when they are the same.
    """

    taken: Singles
    filled: Singles
    previous: NDArray[np.int64] | None


Window = tuple[Moment, ...]


def add(window: Window, moment: Moment, most: int) -> Window:
    """Append a moment and forget the oldest."""
    return (*window[-(most - 1) :], moment)


def series(window: Window, rows: NDArray[np.int64], resource: int) -> tuple[Singles, Singles]:
    """Return use and filling of one resource by some rows of the newest moment, oldest first, NaN if unknown."""
    taken, filled = [], []
    present = rows
    for moment in reversed(window):
        if not moment.taken.shape[1]:
            break  # a moment at which nobody was seen; nothing before it can be tied to the rows of today
        known = present >= 0
        taken.append(np.where(known, moment.taken[resource, present], np.float32(np.nan)))
        filled.append(np.where(known, moment.filled[resource, present], np.float32(np.nan)))
        if moment.previous is not None:
            present = np.where(known, moment.previous[present], -1)
    empty = np.empty((0, len(rows)), np.float32)
    if not taken:
        return empty, empty
    return np.stack(taken[::-1]), np.stack(filled[::-1])
