"""One source of limits on this host: some kinds, probed, read back, and set after everything is checked."""

from collections.abc import Callable, Mapping
from typing import Protocol

from yamori.model.errors import Conflict, YamoriError
from yamori.model.limits import LimitKind
from yamori.model.support import Cell
from yamori.model.vm import VM

Told = Mapping[LimitKind, float | YamoriError | None]
Wanted = Mapping[LimitKind, float | None]


class Bounds(Protocol):
    """Blocking; all calls of one host come from one thread."""

    kinds: frozenset[LimitKind]

    def cells(self) -> Mapping[LimitKind, Cell]:
        """Say for each kind whether it works here, leaving nothing changed."""
        ...

    def read(self, vm: VM) -> Told:
        """Tell what holds for a running VM, or for a kind the error that says why it cannot be told."""
        ...

    def plan(self, vm: VM, wanted: Wanted) -> Callable[[], None]:
        """Check, and return what applies it. Raises Refused; may raise Failed when called and when applied."""
        ...

    def close(self) -> None:
        """Let go of handles. What is set stays."""
        ...


def agreed(told: Mapping[str, float | None]) -> float | None:
    """Return the one number that all devices of a VM share. Raises Conflict when they differ."""
    distinct = set(told.values())
    if len(distinct) > 1:
        words = ", ".join(f"{device} {bound or 'unlimited'}" for device, bound in sorted(told.items()))
        raise Conflict(f"devices differ: {words}"[:400])
    return next(iter(distinct))
