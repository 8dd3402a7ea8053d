"""The monotonic clock of a host, told in ours. Rates divide by differences: they must stay exact, and never mix.

A clock is named by the boot of its host. While the name stays, one fixed offset translates it, so that
differences are the host's own, to the bit, across reconnections and restarts of the agent. Another name, or a
time that is further off than any call may take, begins anew.
"""

from dataclasses import dataclass

MOST_DRIFT_S = 30.0
"""Beyond this the old offset is not believed any more. No call takes so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offset:
    clock: str
    seconds: float


class HostClock:
    """Translates the clock of one host."""

    def __init__(self) -> None:
        self._offset: _Offset | None = None

    def ours(self, clock: str, *, read: float, now: float) -> float:
        """Return when something was read, by our clock. ``read`` is the host's, ``now`` is ours."""
        offset = self._offset
        if offset is None or offset.clock != clock or abs(read + offset.seconds - now) > MOST_DRIFT_S:
            offset = self._offset = _Offset(clock=clock, seconds=now - read)
        return read + offset.seconds
