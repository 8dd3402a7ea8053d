"""How a move would go, and where one stands, asked of the hypervisor."""

from typing import Protocol

from yamori.model.ids import VMId
from yamori.model.migration import Forecast, Landing, MigrationStatus, StorageMode


class MigrationWatch(Protocol):
    """Promises: a restarted reader finds a move that somebody else has started."""

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the move of a VM away from here stands; None if none is known. Raises Unreachable."""
        ...

    async def forecast(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None
    ) -> Forecast:
        """As source: say how the VM would move there, with this bandwidth at most. Changes nothing.

        Whether the move can be begun now is for ``start`` to say. Raises NotFound, Invalid for a landing of
        another family and for a bandwidth that is not above 0, Unreachable.
        """
        ...
