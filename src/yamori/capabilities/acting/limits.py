"""Bound what a VM may use. What holds afterwards is read back by the caller with the sensing side."""

from collections.abc import Mapping
from typing import Protocol

from yamori.model.ids import VMId
from yamori.model.limits import LimitKind


class LimitsWriter(Protocol):
    """Promises: live, without a restart; kinds not named stay as they are; ``None`` lifts a limit;

    setting the same twice is the same as once; an unsupported kind raises Unsupported before anything is
    changed; a value that makes no sense (negative, zero, NaN) raises Invalid. May raise NotFound, Conflict
    (VM not running), Unreachable, TimedOut, Rejected.
    """

    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        """Set the named limits of a running VM."""
        ...

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; None gives back all."""
        ...
