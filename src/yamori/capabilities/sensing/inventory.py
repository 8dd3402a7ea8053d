"""Hosts and VMs of one endpoint. The one capability that every driver has."""

from dataclasses import dataclass
from typing import Protocol

from yamori.model.host import Host
from yamori.model.ids import VMId
from yamori.model.vm import VM


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All hosts and VMs of one endpoint at one moment. ``incomplete`` says what could not be read."""

    hosts: tuple[Host, ...]
    vms: tuple[VM, ...]
    incomplete: tuple[str, ...] = ()


class Inventory(Protocol):
    """Promises: one bulk read; a VM that vanishes in the middle is left out, it is no error."""

    async def read(self) -> Listing:
        """List everything. Raises Unreachable, TimedOut."""
        ...

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh. Raises NotFound, Unreachable, TimedOut."""
        ...
