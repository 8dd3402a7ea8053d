"""Sums of counters over devices that come and go: they never fall while the VM runs."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Tally:
    """Counters of one VM's devices of one kind, added up.

    What a device counted before the VM was first seen belongs to the unknown start; of one that is plugged in
    later only the growth since its first reading counts. A device whose counter fell was plugged in anew.
    """

    def __init__(self, width: int) -> None:
        self._total = np.zeros(width)
        self._last: dict[str, Floats] = {}
        self._begun = False

    def add(self, devices: Mapping[str, Floats]) -> Floats:
        """Take a reading of all devices and return the sums; NaN in a device's reading is NaN in this sum."""
        known = np.ones(len(self._total), bool)
        for name, now in devices.items():
            missing = np.isnan(now)
            known &= ~missing
            before = self._last.get(name)
            if before is None:
                self._total += 0.0 if self._begun else np.nan_to_num(now)
                self._last[name] = np.where(missing, np.nan, now)
                continue
            with np.errstate(invalid="ignore"):
                grown = now - before
            self._total += np.where(grown > 0, grown, 0.0)
            self._last[name] = np.where(missing, before, now)
        for gone in set(self._last) - set(devices):
            del self._last[gone]
        self._begun = True
        return np.where(known, self._total, np.nan)
