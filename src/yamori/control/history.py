"""The last minutes of every VM, in a ring of columns; for charts, not for judgement."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yamori.control.facade import Series
from yamori.model.errors import NotFound
from yamori.model.ids import VMId

BUDGET_BYTES = 256 * 1024 * 1024
"""The ring never takes more than this: a large fleet remembers fewer ticks, not more memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tick:
    at: float
    row_of: Mapping[VMId, int]
    columns: Mapping[str, NDArray[np.float32]]


class History:
    """Remembers ticks for ``seconds``, as far as the memory budget allows."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ticks: list[_Tick] = []
        self._rows: tuple[tuple[VMId, ...], Mapping[VMId, int]] = ((), {})

    def add(self, at: float, vms: tuple[VMId, ...], columns: Mapping[str, NDArray[np.float64]]) -> None:
        """Remember one tick. ``at`` is seconds since the epoch."""
        if self._rows[0] != vms:
            self._rows = (vms, {vm: row for row, vm in enumerate(vms)})
        small = {name: column.astype(np.float32) for name, column in columns.items()}
        self._ticks.append(_Tick(at, self._rows[1], small))
        cost = max(1, sum(c.nbytes for c in small.values()))
        most = max(2, BUDGET_BYTES // cost)
        first = 0
        while first < len(self._ticks) - 1 and (
            self._ticks[first].at < at - self._seconds or len(self._ticks) - first > most
        ):
            first += 1
        if first:
            del self._ticks[:first]

    def of(self, vm: VMId, seconds: float, now: float) -> Series:
        """Return what is remembered of one VM. Raises NotFound when it was never seen."""
        ticks = [t for t in self._ticks if t.at >= now - seconds]
        if not any(vm in t.row_of for t in self._ticks):
            raise NotFound("no history of this VM", subject=vm)
        names = list(ticks[-1].columns) if ticks else []
        values: dict[str, tuple[float | None, ...]] = {
            name: tuple(_value(t, vm, name) for t in ticks) for name in names
        }
        return Series(vm=vm, times=tuple(t.at for t in ticks), values=values)


def _value(tick: _Tick, vm: VMId, name: str) -> float | None:
    row = tick.row_of.get(vm)
    if row is None or name not in tick.columns:
        return None
    value = float(tick.columns[name][row])
    return None if np.isnan(value) else value
