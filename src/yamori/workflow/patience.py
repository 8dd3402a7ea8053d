"""How long and how often the engine tries."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Bounds on trying. Only transient errors (Unreachable, Busy, TimedOut) are tried again.

    ``attempts`` counts tries of check, apply and verify each, ``undo_attempts`` those of undo. Between two
    tries there are ``pause_s`` seconds, doubled each time up to ``pause_most_s``. A phase that takes longer
    than ``phase_s`` counts as TimedOut. A lease lasts ``ttl_s`` and is renewed three times in that time.
    """

    attempts: int = 3
    undo_attempts: int = 6
    pause_s: float = 0.5
    pause_most_s: float = 15.0
    phase_s: float = 3600.0
    ttl_s: float = 15.0

    def pause(self, attempt: int) -> float:
        """Return how long to wait after the failed attempt of that number (from 1)."""
        return float(min(self.pause_s * 2 ** (attempt - 1), self.pause_most_s))
