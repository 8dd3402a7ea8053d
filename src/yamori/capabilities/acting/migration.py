"""Move a running VM to another host of the same family. Encrypted, always; never two running copies."""

from typing import Protocol

from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationStatus, StorageMode


class Migration(Protocol):
    """Promises: whatever fails, exactly one copy runs; a cancelled or failed move leaves the VM running at

    the source; there is no plaintext variant. Unknown id raises NotFound; a landing of another family or on
    the same host raises Invalid; a VM that is being moved already raises Conflict. A VM stands still while
    it is sent only if that was allowed.
    """

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """As destination: say how the VM may land on one of our hosts.

        Raises Conflict if it runs on that host already, Invalid if the host is none of ours.
        """
        ...

    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        stopping: bool = False,
    ) -> None:
        """As source: begin the move and return once it is under way. The same ``key`` twice begins it once.

        ``stopping`` allows that the VM stands still while it is sent; one that can move live does so all the
        same. Without it, a move whose forecast is not live raises Unsupported (``migration.live``). A bandwidth
        where moves cannot be bounded raises Unsupported (``migration.bandwidth``).
        """
        ...

    async def wait(self, vm: VMId) -> MigrationStatus:
        """As source: wait for the end of the move and say how it ended."""
        ...

    async def cancel(self, vm: VMId) -> None:
        """As source: stop the move; the VM goes on at the source. Idempotent.

        Where a move that has begun cannot be stopped, Unsupported (``migration.cancel``) is raised while one is
        under way, and it goes on.
        """
        ...
