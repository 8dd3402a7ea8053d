"""The reading side of the fleet as handed to modules: one moment, plain values, nothing to act with."""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.manifest.module import FleetView
from yamori.model.ids import HostId


@dataclass(frozen=True, slots=True)
class MomentSensors:
    """Fulfils ``Sensors`` for one tick, so that all modules judge the same moment."""

    _frame: UsageFrame
    _view: FleetView
    _missing: Mapping[HostId, str]

    def usage(self) -> UsageFrame:
        """Return the newest frame of the whole fleet."""
        return self._frame

    def view(self) -> FleetView:
        """Return the fleet as known now."""
        return self._view

    def missing(self) -> Mapping[HostId, str]:
        """Return the hosts that could not be read this time, and why."""
        return self._missing
