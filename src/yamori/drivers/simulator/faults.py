"""Faults as data: which call is hit, how often, and what goes wrong. One simulator, never a family of fakes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from yamori.capabilities.sensing.usage import Column
from yamori.model.errors import YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    ``operation`` is a pattern over the words ``inventory.read``, ``limits.set``, ``migration.start`` and so on
    (capability, dot, method; ``*`` for every call); ``migration.run`` strikes a move under way, once the
    fraction ``at_progress`` of its bytes is sent. ``after`` calls pass first, then ``times`` calls are hit
    (None: for ever). ``raises`` makes the call fail; with ``obeyed`` the effect takes place all the same, as
    when only the answer is lost. ``delay_s`` is simulated time that passes before anything happens.
    ``unknown`` columns of a usage reading become NaN; ``lose_rows`` is the fraction of its rows left out;
    ``restart_counters`` lets its counters begin at 0 again. ``drift`` are limits that another hand sets on the
    same VM right after the call.
    """

    operation: str
    vm: VMId | None = None
    endpoint: str | None = None
    after: int = 0
    times: int | None = 1
    raises: type[YamoriError] | None = None
    obeyed: bool = False
    delay_s: float = 0.0
    unknown: frozenset[Column] = frozenset()
    lose_rows: float = 0.0
    restart_counters: bool = False
    drift: Mapping[LimitKind, float | None] = field(default_factory=dict)
    at_progress: float = 0.5

    def error(self) -> YamoriError:
        """Make the error that this fault raises."""
        kind = self.raises or YamoriError
        message = f"{self.operation} was hit by an injected fault"
        return kind(message, subject=self.vm)


@dataclass(slots=True)
class _Entry:
    fault: Fault
    seen: int = 0
    hit: int = 0


class Faults:
    """The faults of one world, and how often each has struck."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._entries.clear()

    def struck(self, fault: Fault) -> int:
        """Say how often a fault has struck."""
        return sum(entry.hit for entry in self._entries if entry.fault is fault)

    def strike(
        self, operation: str, *, endpoint: str | None = None, vm: VMId | None = None, progress: float | None = None
    ) -> tuple[Fault, ...]:
        """Count one call and return the faults that hit it."""
        hit = []
        for entry in self._entries:
            fault = entry.fault
            if not _matches(fault, operation, endpoint, vm):
                continue
            if progress is not None and progress < fault.at_progress:
                continue
            entry.seen += 1
            if entry.seen <= fault.after or (fault.times is not None and entry.hit >= fault.times):
                continue
            entry.hit += 1
            hit.append(fault)
        return tuple(hit)


def _matches(fault: Fault, operation: str, endpoint: str | None, vm: VMId | None) -> bool:
    return (
        fnmatchcase(operation, fault.operation)
        and (fault.vm is None or fault.vm == vm)
        and (fault.endpoint is None or fault.endpoint == endpoint)
    )
