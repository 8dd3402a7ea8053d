"""What happened in the world, for those who watch. Each watcher has its own bounded queue."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from yamori.drivers.simulator.bell import Bell
from yamori.model.change import ChangeKind

LONGEST = 100_000
"""Events that a watcher may lag behind; then its feed breaks and it must list afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, by row numbers."""

    row: int
    host: int
    kind: ChangeKind
    at: datetime


class Watcher:
    """One reader's place in the feed. ``broken`` once the connection is cut or it lags too far behind."""

    def __init__(self, hosts: frozenset[int]) -> None:
        self.hosts = hosts
        self.broken = False
        self.bell = Bell()
        self.queue: deque[Event] = deque()

    def cut(self) -> None:
        """Break this reader's feed."""
        self.broken = True
        self.bell.ring()


class Feed:
    """Tells every watcher what happens on its hosts, in order."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def join(self, watcher: Watcher) -> None:
        """Begin to tell this watcher."""
        self._watchers.append(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Stop telling this watcher. Idempotent."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def tell(self, event: Event) -> None:
        """Tell all whom it concerns."""
        for watcher in self._watchers:
            if event.host in watcher.hosts and not watcher.broken:
                watcher.queue.append(event)
                if len(watcher.queue) > LONGEST:
                    watcher.broken = True
                watcher.bell.ring()
