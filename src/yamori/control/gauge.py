"""What every VM uses and how it is served, from one frame to the next; for the faces and for history."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import NAMES, Rates, Residence, measured, memory_lost, rates
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.control.facade import Served, Standing
from yamori.model.ids import VMId
from yamori.model.sla import Objective, SLAClass


class Gauge:
    """Follows the frames. A VM without a row, or with NaN in it, is unknown."""

    def __init__(self) -> None:
        self._before: UsageFrame | None = None
        self._rates: Rates | None = None
        self._residence: Residence | None = None
        self._measured: Mapping[Objective, NDArray[np.float64]] = {}
        self._rows: tuple[tuple[VMId, ...], Mapping[VMId, int]] = ((), {})

    def follow(self, frame: UsageFrame) -> dict[str, NDArray[np.float64]]:
        """Take the next frame; return all rates and objectives as named columns."""
        before, self._before = self._before, frame
        if self._rows[0] is not frame.vms and self._rows[0] != frame.vms:
            self._rows = (frame.vms, {vm: row for row, vm in enumerate(frame.vms)})
        now = rates(before if before is not None else frame, frame)
        self._rates = now
        self._residence, lost = memory_lost(self._residence if before is not None else None, now, frame)
        self._measured = measured(now, lost)
        columns = dict(zip(NAMES, now.values, strict=True))
        columns.update({objective.value: values for objective, values in self._measured.items()})
        return columns

    def rates_of(self, vm: VMId) -> dict[str, float | None]:
        """Return what a VM uses now; None in a place means unknown."""
        row = self._rows[1].get(vm)
        if row is None or self._rates is None:
            return dict.fromkeys(NAMES)
        return self._rates.row(row)

    def served(self, vm: VMId, sla: SLAClass | None) -> tuple[Served, ...]:
        """Return how each objective stands for a VM of this class."""
        row = self._rows[1].get(vm)
        return tuple(self._standing(objective, row, sla) for objective in Objective)

    def _standing(self, objective: Objective, row: int | None, sla: SLAClass | None) -> Served:
        value: float | None = None
        if row is not None and objective in self._measured:
            number = float(self._measured[objective][row])
            value = None if np.isnan(number) else number
        bound = sla.objectives.get(objective) if sla is not None else None
        if bound is None:
            standing = Standing.NOT_PROMISED
        elif value is None:
            standing = Standing.UNKNOWN
        else:
            standing = Standing.KEPT if value <= bound else Standing.BROKEN
        return Served(objective=objective, value=value, bound=bound, standing=standing)
