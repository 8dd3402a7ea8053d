"""What the guard remembers from one reading to the next: a value, replaced and never written to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Residence
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.modules.guard.baseline import Baseline
from yamori.modules.guard.cases import Case
from yamori.modules.guard.hours import Hour
from yamori.modules.guard.standing import Promises, Record
from yamori.modules.guard.window import Window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """The rows of each host, without looking at all rows for each."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def rows(self, host: int) -> NDArray[np.int64]:
        """Return the rows of the VMs on one host, by its index in the frame."""
        return self.order[self.starts[host] : self.starts[host + 1]]


def group(frame: UsageFrame) -> Groups:
    """Sort rows by host."""
    order = np.argsort(frame.host_of, kind="stable")
    starts = np.searchsorted(frame.host_of[order], np.arange(len(frame.hosts) + 1))
    return Groups(order=order, starts=starts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GuardMemory:
    """All arrays belong to the rows of ``frame``. ``cases`` are by key."""

    frame: UsageFrame | None = None
    residence: Residence | None = None
    promises: Promises | None = None
    record: Record | None = None
    baseline: Baseline | None = None
    groups: Groups | None = None
    window: Window = ()
    hours: Mapping[int, Hour] = field(default_factory=dict)
    cases: Mapping[str, Case] = field(default_factory=dict)
    readings: int = 0
