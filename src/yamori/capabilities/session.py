"""An open connection to one endpoint: a bundle of abilities. What it cannot do is None."""

from dataclasses import dataclass
from typing import Protocol

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.acting.power import Power
from yamori.capabilities.sensing.changes import Changes
from yamori.capabilities.sensing.inventory import Inventory
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.sensing.usage import Usage
from yamori.model.support import Support


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensing:
    """What can be read. ``inventory`` is the only one that every endpoint has."""

    inventory: Inventory
    changes: Changes | None = None
    usage: Usage | None = None
    limits: LimitsReader | None = None
    migration: MigrationWatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What can be changed."""

    power: Power | None = None
    limits: LimitsWriter | None = None
    migration: Migration | None = None


class Session(Protocol):
    """One open connection. It reconnects by itself; a call during an outage raises Unreachable at once."""

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        ...

    @property
    def acting(self) -> Acting:
        """The changing side."""
        ...

    async def probe(self) -> Support:
        """Find out what this endpoint can do, without changing anything. Raises Unreachable, TimedOut."""
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent."""
        ...
