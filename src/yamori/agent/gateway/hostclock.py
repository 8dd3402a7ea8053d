"""The monotonic clock of a host, told in ours. Rates divide by differences: they must stay exact, and never mix.

A clock is named by the boot of its host. While the name stays, one fixed offset translates it, so that
differences are the host's own, to the bit, across reconnections and restarts of the agent. Another name, or an
offset that is off by more than a network can explain (a host that slept), begins anew.
"""

from dataclasses import dataclass

from yamori.model.errors import Invalid

MOST_DRIFT_S = 5.0
"""Beyond this the old offset is not believed any more."""
OLDEST_S = 120.0
"""A reading that is older, or from the future, is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offset:
    clock: str
    seconds: float


class HostClock:
    """Translates the clock of one host."""

    def __init__(self) -> None:
        self._offset: _Offset | None = None

    def ours(self, clock: str, *, sent: float, read: float, now: float) -> float:
        """Return when something was read, by our clock. ``sent`` and ``read`` are the host's, ``now`` is ours.

        Raises Invalid for a time that cannot be.
        """
        if not -MOST_DRIFT_S <= sent - read <= OLDEST_S:
            raise Invalid(f"a reading that is {sent - read:.0f} s old")
        offset = self._offset
        if offset is None or offset.clock != clock or abs(sent + offset.seconds - now) > MOST_DRIFT_S:
            offset = self._offset = _Offset(clock=clock, seconds=now - sent)
        return read + offset.seconds
