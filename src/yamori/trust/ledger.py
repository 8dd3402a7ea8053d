"""The ledger: what was seen, decided and done, each record bound to the one before by its hash.

The head (count and last hash) carries a MAC under a key outside the database, so that cutting off the tail
shows too. The format is described in docs/reference/ledger.md.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from yamori.model.errors import Tampered
from yamori.model.plain import Json, to_plain
from yamori.trust.canonical import canonical

NOTHING = "0" * 64
"""What the first record gives as the hash of the record before it."""


class RecordKind(StrEnum):
    """What a record tells."""

    STARTED = "started"
    STOPPED = "stopped"
    FINDING_RAISED = "finding_raised"
    FINDING_CHANGED = "finding_changed"
    FINDING_CLOSED = "finding_closed"
    PROPOSED = "proposed"
    DECIDED = "decided"
    REQUESTED = "requested"
    RUN = "run"
    DRIFT = "drift"
    DUPLICATE = "duplicate"
    KILL_SWITCH = "kill_switch"
    AGENT_INVITED = "agent_invited"
    AGENT_ENROLLED = "agent_enrolled"
    AGENT_RENEWED = "agent_renewed"
    AGENT_REFUSED = "agent_refused"
    AGENT_REVOKED = "agent_revoked"
    AGENT_CONTACT = "agent_contact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record. ``number`` counts from 1, ``previous`` and ``hash`` are SHA-256 in lower-case hex."""

    number: int
    at: datetime
    kind: RecordKind
    body: Json
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far the ledger reaches: number of records, hash of the last, HMAC-SHA-256 over both."""

    count: int
    hash: str
    mac: str


def digest(number: int, at: datetime, kind: RecordKind, body: Json, previous: str) -> str:
    """Return the hash of a record: SHA-256 over the canonical form (RFC 8785) of its five members."""
    told = {"number": number, "at": to_plain(at), "kind": kind.value, "body": body, "previous": previous}
    return hashlib.sha256(canonical(told)).hexdigest()


def seal_head(count: int, last: str, key: bytes) -> Head:
    """Return a head with its MAC (RFC 2104, over the canonical form of count and hash)."""
    mac = hmac.new(key, canonical({"count": count, "hash": last}), hashlib.sha256).hexdigest()
    return Head(count=count, hash=last, mac=mac)


def check_head(head: Head, key: bytes) -> None:
    """Check that a head was written with this key. Raises Tampered."""
    if not hmac.compare_digest(head.mac, seal_head(head.count, head.hash, key).mac):
        raise Tampered("the head was changed, or written with another key", subject=f"ledger head {head.count}")


def extend(head: Head, key: bytes, *, at: datetime, kind: RecordKind, body: Json) -> tuple[Record, Head]:
    """Return the next record and the new head. Raises Tampered when the old head does not hold.

    A head is never extended unchecked: that would put our seal under somebody else's change.
    """
    check_head(head, key)
    number = head.count + 1
    hashed = digest(number, at, kind, body, head.hash)
    record = Record(number=number, at=at, kind=kind, body=body, previous=head.hash, hash=hashed)
    return record, seal_head(number, hashed, key)


def verify(records: Iterable[Record], head: Head, key: bytes) -> int:
    """Check a whole ledger, oldest record first; return the number of records.

    Raises Tampered naming the first number that was changed, removed, inserted or moved.
    """
    check_head(head, key)
    count, last = 0, NOTHING
    for record in records:
        count += 1
        _check_record(record, count, last)
        last = record.hash
    if count < head.count:
        raise _tampered(count + 1, f"is missing, and all up to {head.count}")
    if count > head.count:
        raise _tampered(head.count + 1, "lies beyond the head")
    if last != head.hash:
        raise _tampered(count, "is not the one that the head names")
    return count


def checked(record: Record) -> Record:
    """Return a record if its hash is its own; its place in the chain is not looked at. Raises Tampered."""
    if record.hash != digest(record.number, record.at, record.kind, record.body, record.previous):
        raise _tampered(record.number, "was changed")
    return record


def _check_record(record: Record, number: int, previous: str) -> None:
    if record.number > number:
        raise _tampered(number, "is missing")
    if record.number < number:
        raise _tampered(record.number, "is out of order")
    if record.previous != previous:
        raise _tampered(number, "does not follow the record before it")
    checked(record)


def _tampered(number: int, what: str) -> Tampered:
    return Tampered(f"record {number} {what}", subject=f"ledger record {number}")


class Ledger(Protocol):
    """Where the records are kept. Promises: on disk when ``append`` returns; the order is that of numbers."""

    async def append(self, kind: RecordKind, body: Json) -> Record:
        """Write one more record. Raises Tampered when the head does not hold: then nothing is written."""
        ...

    async def records(self, *, after: int, limit: int) -> Sequence[Record]:
        """Return records with a number larger than ``after``, oldest first."""
        ...

    async def last(self, kind: RecordKind) -> Record | None:
        """Return the newest record of a kind. Raises Tampered when it is not what was written."""
        ...

    async def verify(self) -> int:
        """Check the whole chain; return the number of records. Raises Tampered."""
        ...
