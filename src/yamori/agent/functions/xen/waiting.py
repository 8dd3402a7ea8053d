"""How long the vCPUs of each domain were ready to run and did not, added up from changes of run state.

Records of several CPUs come in passes over all CPUs, so those of one pass may be older than those before them.
What the second last pass has shown is complete; what is newer waits for its turn.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from yamori.agent.functions.xen.trace import ROW, RUNNABLE, Changes, Window, changes, joined

_NEVER = -1
_IDLE = 0x7FFF
"""DOMID_IDLE: what runs when nobody wants to."""


class Waits:
    """Adds up waiting times. Not for two threads at once; times are ticks of the time stamp counter."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._rest = changes(b"")
        self._held = 0
        self._last_cpu = _NEVER
        self._newest = [_NEVER, _NEVER, _NEVER]
        """Latest time in the passes before the last, the last, and the one under way."""
        self._begun = _NEVER
        self._state: dict[int, tuple[int, int]] = {}
        self._total: dict[int, int] = {}
        self._reached = _NEVER
        self._doubtful: set[int] = set()
        self._lost = False

    @property
    def held(self) -> int:
        """Number of changes that wait for their turn."""
        return self._held

    @property
    def begun(self) -> bool:
        """Whether something has been added up."""
        return self._reached != _NEVER

    @property
    def newest(self) -> int:
        """The latest time that was seen."""
        return max(self._newest)

    def add(self, windows: Iterable[Window]) -> None:
        """Take windows in the order of the stream."""
        for window in windows:
            if window.cpu <= self._last_cpu:
                self._newest = [max(self._newest[:2]), self._newest[2], self._newest[2]]
            self._last_cpu = window.cpu
            if window.lost_at is not None:
                self._forget(window.lost_at)
            first, last = window.first, window.last
            if first is not None and last is not None:
                self._pending.append(window.rows)
                self._held += len(window.rows) // ROW
                self._newest[2] = max(self._newest[2], last)
                if self._begun == _NEVER:
                    self._begun = first

    def lose(self) -> None:
        """Records are missing, nobody knows since when: begin anew with what comes from now on."""
        self._forget(self.newest)
        self._last_cpu = _NEVER

    def _forget(self, since: int) -> None:
        self._lost = self._reached != _NEVER
        self._state.clear()
        self._begun = max(self._begun, since)

    def advance(self, until: int | None = None) -> None:
        """Add up what is complete, at most to a time."""
        limit = self._newest[0] if until is None else min(until, self._newest[0])
        if limit <= self._reached or not self._held:
            return
        found = joined(self._rest, changes(b"".join(self._pending)))
        self._pending.clear()
        ripe = found.time <= limit
        late = ripe & (found.time < self._reached)
        self._doubtful.update((found.who[late] >> 16).tolist())
        self._rest = found.where(~ripe)
        self._held = len(self._rest.time)
        use = ripe & (found.time >= self._begun) & (found.who >> 16 != _IDLE)
        if use.any():
            self._count(found.where(use))
        self._reached = limit

    def _count(self, ripe: Changes) -> None:
        ordered = ripe.where(np.lexsort((ripe.time, ripe.who)))
        time, who, old, new = ordered.time, ordered.who, ordered.old, ordered.new
        first = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
        before = np.r_[np.uint8(0), new[:-1]]
        since = np.r_[np.int64(0), time[:-1]]
        for place in first.tolist():
            before[place], since[place] = self._state.get(int(who[place]), (int(old[place]), self._begun))
        wrong = before != old
        self._doubtful.update((who[wrong] >> 16).tolist())
        waited = np.where((old == RUNNABLE) & ~wrong, time - since, 0)
        for place, amount in zip(first.tolist(), np.add.reduceat(waited, first).tolist(), strict=True):
            domain = int(who[place]) >> 16
            self._total[domain] = self._total.get(domain, 0) + int(amount)
        for place in np.r_[first[1:] - 1, len(who) - 1].tolist():
            self._state[int(who[place])] = (int(new[place]), int(time[place]))

    def told(self, domains: Iterable[int]) -> Mapping[int, int] | None:
        """Return how long each domain has waited; one is left out where a change is missing, None if many are.

        Each call begins a new account of what is missing.
        """
        lost, self._lost = self._lost, False
        doubtful, self._doubtful = self._doubtful, set()
        wanted = set(domains)
        for gone in set(self._total) - wanted:
            del self._total[gone]
        self._state = {who: state for who, state in self._state.items() if who >> 16 in wanted}
        if lost or self._reached == _NEVER:
            return None
        found = {domain: self._total.get(domain, 0) for domain in wanted - doubtful}
        for who, (state, since) in self._state.items():
            if state == RUNNABLE and who >> 16 in found:
                found[who >> 16] += max(0, self._reached - since)
        return found
