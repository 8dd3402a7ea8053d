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

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM.

        ``lapse_s``: where the feature ``limits.expiry`` is there, the named kinds go back by themselves after so
        many seconds to what held before they were first set with a lapse, even if nobody is left to let go; what
        another hand has changed meanwhile stays. Setting a kind again renews its lapse, or without one ends it.
        Elsewhere it is ignored: whoever sets a limit lets go of it. Raises Invalid unless it is above 0.
        """
        ...

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; None gives back all."""
        ...
