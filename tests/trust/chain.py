"""A ledger in a list, as the store would keep it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from yamori.trust.ledger import NOTHING, Head, Record, RecordKind, extend, seal_head

KEY = b"k" * 32
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def chain(length: int) -> tuple[list[Record], Head]:
    records: list[Record] = []
    head = seal_head(0, NOTHING, KEY)
    for number in range(length):
        body: dict[str, Any] = {"number": number, "nested": {"list": [1.5, None, "ü\x00"]}}
        at = BEGIN + timedelta(seconds=number)
        record, head = extend(head, KEY, at=at, kind=RecordKind.DRIFT, body=body)
        records.append(record)
    return records, head
