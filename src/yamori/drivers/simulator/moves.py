"""Moves under way: pre-copy rounds until the rest fits into a short pause, then one switch-over.

A VM that stands still meanwhile writes nothing, so one round is enough.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from yamori.drivers.simulator.bell import Bell
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, MigrationStatus, StorageMode

SWITCH_S = 0.005
"""What the switch-over itself takes."""
PAUSE_S = 0.3
"""The longest switch-over pause that a move aims at."""
CONVERGE_AFTER_S = 10.0
"""A move whose rest does not shrink begins to slow the guest after this time."""
CONVERGE_RATE_S = 0.05
"""By so much of its writing each second, to 99 % at most."""


@dataclass(slots=True, kw_only=True)
class Move:
    """One move of one VM. Bytes and simulated seconds. ``still``: it ran, and stands still until the move ends."""

    vm: VMId
    row: int
    source: int
    destination: int
    endpoint: str
    key: str
    storage: StorageMode
    bandwidth: float
    total: float
    remaining: float
    still: bool = False
    processed: float = 0.0
    age: float = 0.0
    slowed: float = 0.0
    downtime: float | None = None
    phase: MigrationPhase = MigrationPhase.RUNNING
    error: str | None = None
    ended: Bell = field(default_factory=Bell)

    @property
    def progress(self) -> float:
        """Return the fraction of the first full copy that is sent, at most 1."""
        return min(1.0, self.processed / self.total) if self.total > 0 else 1.0

    def run(self, seconds: float, dirty: float) -> bool:
        """Send for so many seconds while the guest writes ``dirty`` bytes per second. True once all is there."""
        self.age += seconds
        if self.age > CONVERGE_AFTER_S:
            self.slowed = min(0.99, self.slowed + CONVERGE_RATE_S * seconds)
        sent = min(self.bandwidth * seconds, self.remaining)
        # What was sent may have been written to meanwhile and must be sent again.
        again = dirty * (1.0 - self.slowed) * (sent / self.bandwidth)
        self.processed += sent
        self.remaining = min(self.total, self.remaining - sent + again)
        if self.remaining <= self.bandwidth * PAUSE_S:
            self.downtime = SWITCH_S + self.remaining / self.bandwidth + (self.age if self.still else 0.0)
            self.processed += self.remaining
            self.remaining = 0.0
            return True
        return False

    def end(self, phase: MigrationPhase, error: str | None = None) -> None:
        """Close the book on this move and wake those who wait for it."""
        self.phase = phase
        self.error = error
        self.ended.ring()

    def status(self) -> MigrationStatus:
        """Return where it stands."""
        return MigrationStatus(
            vm=self.vm,
            phase=self.phase,
            total_bytes=int(self.total),
            processed_bytes=int(self.processed),
            remaining_bytes=int(self.remaining),
            downtime_ms=None if self.downtime is None else round(self.downtime * 1000),
            encrypted=True,
            error=self.error,
        )


class Moves:
    """All moves that the world remembers: the last one of each VM from each host."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], Move] = {}
        self._running: dict[int, Move] = {}

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, move: Move) -> None:
        """Put a new move under way."""
        self._last[move.row, move.source] = move
        self._running[move.row] = move

    def running(self, row: int) -> Move | None:
        """Return the move that is under way for this row."""
        return self._running.get(row)

    def under_way(self) -> Iterable[Move]:
        """Return all moves under way."""
        return tuple(self._running.values())

    def last(self, row: int, sources: Iterable[int]) -> Move | None:
        """Return the last move of a row away from any of these hosts."""
        known = [self._last[row, s] for s in sources if (row, s) in self._last]
        for move in known:
            if move.phase is MigrationPhase.RUNNING:
                return move
        return known[-1] if known else None

    def end(self, move: Move, phase: MigrationPhase, error: str | None = None) -> None:
        """End a move in this phase."""
        self._running.pop(move.row, None)
        move.end(phase, error)

    def arriving(self, hosts: frozenset[int]) -> list[Move]:
        """Return the moves under way to these hosts."""
        return [move for move in self._running.values() if move.destination in hosts]
