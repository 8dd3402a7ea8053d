"""Limits that end by themselves: what to put back when nobody has let go in time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yamori.model.limits import LimitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """One limit of one VM: when it ends, what it is, and what held before. Seconds of the world's clock."""

    at: float
    ours: float
    back: float


class Lapses:
    """All limits of a world that will end by themselves, by row and kind."""

    def __init__(self) -> None:
        self._pending: dict[tuple[int, LimitKind], Lapse] = {}

    def note(
        self, row: int, before: Mapping[LimitKind, float], after: Mapping[LimitKind, float], at: float | None
    ) -> None:
        """Note that limits were set: to end at a time, with what held before the first of several; or for good."""
        for kind, ours in after.items():
            known = self._pending.pop((row, kind), None)
            if at is not None:
                back = before[kind] if known is None else known.back
                self._pending[row, kind] = Lapse(at=at, ours=ours, back=back)

    def forget(self, row: int) -> None:
        """Forget a VM that begins anew or is gone: its limits went with it."""
        for key in [key for key in self._pending if key[0] == row]:
            del self._pending[key]

    def run(self, now: float, holds: Callable[[int, LimitKind], float], put: "Put") -> None:
        """End what is due. What no longer is as we set it, another hand has changed: it stays."""
        for (row, kind), lapse in list(self._pending.items()):
            if lapse.at <= now:
                del self._pending[row, kind]
                if holds(row, kind) == lapse.ours:
                    put(row, kind, lapse.back)


Put = Callable[[int, LimitKind, float], None]
