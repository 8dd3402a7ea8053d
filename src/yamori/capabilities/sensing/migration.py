"""Where a move stands, asked of the hypervisor."""

from typing import Protocol

from yamori.model.ids import VMId
from yamori.model.migration import MigrationStatus


class MigrationWatch(Protocol):
    """Promises: a restarted reader finds a move that somebody else has started."""

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the move of a VM away from here stands; None if none is known. Raises Unreachable."""
        ...
