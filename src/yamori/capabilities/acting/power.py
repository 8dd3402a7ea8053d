"""Start, stop, pause, resume, reset."""

from typing import Protocol

from yamori.model.ids import VMId


class Power(Protocol):
    """Promises: each verb is idempotent (pausing a paused VM changes nothing); an unknown id raises NotFound;

    a verb that the present state excludes (resume of a stopped VM) raises Conflict and changes nothing.
    All may raise Unreachable, TimedOut, Rejected.
    """

    async def start(self, vm: VMId) -> None:
        """Run a stopped VM."""
        ...

    async def stop(self, vm: VMId, *, force: bool = False) -> None:
        """Ask the guest to shut down, or with ``force`` cut the power. A shutdown may take effect later."""
        ...

    async def pause(self, vm: VMId) -> None:
        """Stop executing, keep memory."""
        ...

    async def resume(self, vm: VMId) -> None:
        """Go on executing."""
        ...

    async def reset(self, vm: VMId) -> None:
        """Restart as by the reset button. Not idempotent by nature."""
        ...
