"""The kill switch: keeps modules from acting. Its last word is a record of the ledger: it survives a restart."""

from yamori.control.events import Events
from yamori.control.facade import EventKind, KillSwitch
from yamori.model.errors import Tampered
from yamori.model.plain import to_plain
from yamori.trust.ledger import Ledger, Record, RecordKind


class Switch:
    """On until it is known to be off: what cannot be read must not let anybody act."""

    def __init__(self, ledger: Ledger, events: Events) -> None:
        self._ledger = ledger
        self._events = events
        self._now = KillSwitch(on=True, reason="not read yet")

    def now(self) -> KillSwitch:
        """Return how it stands."""
        return self._now

    async def load(self) -> None:
        """Read how it was left. Raises Tampered when that record was changed."""
        record = await self._ledger.last(RecordKind.KILL_SWITCH)
        self._now = KillSwitch(on=False) if record is None else _read(record)

    async def throw(self, *, on: bool, by: str, reason: str) -> KillSwitch:
        """Write it down, then heed it; keeping from acting is heeded even if it cannot be written."""
        if on:
            self._now = KillSwitch(on=True, by=by, reason=reason)
        body = {"on": on, "by": by, "reason": reason}
        self._now = _read(await self._ledger.append(RecordKind.KILL_SWITCH, body))
        self._events.tell(EventKind.KILL_SWITCH, "modules", to_plain(self._now))
        return self._now


def _read(record: Record) -> KillSwitch:
    on, by, reason = (record.body.get(name) for name in ("on", "by", "reason"))
    if not isinstance(on, bool) or not isinstance(by, str) or not isinstance(reason, str):
        raise Tampered("is no word on the kill switch", subject=f"ledger record {record.number}")
    return KillSwitch(on=on, by=by, reason=reason, since=record.at)
