"""Which limits hold for a VM, as the hypervisor says."""

from typing import Protocol

from yamori.model.ids import VMId
from yamori.model.limits import Limits


class LimitsReader(Protocol):
    """Promises: reads from the hypervisor each time, never from memory of what was set."""

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM. Raises NotFound, Unreachable, TimedOut."""
        ...
