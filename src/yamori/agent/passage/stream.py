"""One memory stream away from here, from the moment that it was announced."""

import asyncio
from dataclasses import dataclass, field

from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, MigrationStatus


@dataclass(slots=True, kw_only=True)
class Stream:
    """A stream, as far as the agent knows. ``carried`` is in bytes; ``bytes_s`` bounds it, None is unbounded."""

    vm: VMId
    key: str
    address: str
    bytes_s: float | None
    has_come: bool = False
    """Whether the hypervisor has begun to send."""
    phase: MigrationPhase = MigrationPhase.RUNNING
    carried: int = 0
    error: str | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def count(self, more: int) -> None:
        """Note that bytes went on their way."""
        self.carried += more

    def end(self, phase: MigrationPhase, error: str | None = None) -> None:
        """Note how it ended; the first word counts."""
        if self.phase is MigrationPhase.RUNNING:
            self.phase, self.error = phase, error

    def status(self) -> MigrationStatus:
        """The stream as a value. How much there is in all, nobody knows: the VM runs while it is sent."""
        return MigrationStatus(
            vm=self.vm, phase=self.phase, processed_bytes=self.carried, encrypted=True, error=self.error
        )
