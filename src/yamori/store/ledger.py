"""The ledger in the database. Others write to it within their own transactions."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, RowMapping, insert, select, update

from yamori.model.errors import Invalid, Tampered
from yamori.model.plain import Json, from_plain, to_plain
from yamori.store.database import Database
from yamori.store.tables import LEDGER, LEDGER_HEAD
from yamori.store.text import from_text, to_text
from yamori.trust.ledger import NOTHING, Head, Record, RecordKind, checked, extend, seal_head, verify
from yamori.workflow.clock import Clock


class StoredLedger:
    """Fulfils ``trust.ledger.Ledger``. Knows the key of the head, which is kept outside the database."""

    def __init__(self, database: Database, key: bytes, clock: Clock) -> None:
        self._database = database
        self._key = key
        self._clock = clock

    def begin(self, connection: Connection) -> None:
        """Write the head of an empty ledger, once, when its table is made."""
        head = seal_head(0, NOTHING, self._key)
        connection.execute(insert(LEDGER_HEAD).values(one=1, count=0, hash=head.hash, mac=head.mac))

    def write(self, connection: Connection, kind: RecordKind, body: Json) -> Record:
        """Write one more record within a transaction. Raises Tampered, Invalid; then all is rolled back."""
        record, head = extend(_head(connection), self._key, at=self._clock.now(), kind=kind, body=to_plain(body))
        connection.execute(
            insert(LEDGER).values(
                number=record.number,
                at=to_plain(record.at),
                kind=record.kind.value,
                body=to_text(record.body),
                previous=record.previous,
                hash=record.hash,
            )
        )
        connection.execute(
            update(LEDGER_HEAD)
            .where(LEDGER_HEAD.c.one == 1)
            .values(count=head.count, hash=head.hash, mac=head.mac)
        )
        return record

    async def append(self, kind: RecordKind, body: Json) -> Record:
        """Write one more record."""
        return await self._database.write(lambda connection: self.write(connection, kind, body))

    async def records(self, *, after: int, limit: int) -> Sequence[Record]:
        """Return records with a number larger than ``after``, oldest first."""

        def work(connection: Connection) -> list[Record]:
            rows = connection.execute(
                select(LEDGER).where(LEDGER.c.number > after).order_by(LEDGER.c.number).limit(limit)
            )
            return [_record(row) for row in rows.mappings()]

        return await self._database.read(work)

    async def last(self, kind: RecordKind) -> Record | None:
        """Return the newest record of a kind. Raises Tampered when it is not what was written."""

        def work(connection: Connection) -> Record | None:
            rows = select(LEDGER).where(LEDGER.c.kind == kind.value).order_by(LEDGER.c.number.desc()).limit(1)
            found = connection.execute(rows).mappings().first()
            return None if found is None else checked(_record(found))

        return await self._database.read(work)

    async def verify(self) -> int:
        """Check the whole chain; return the number of records. Raises Tampered."""

        def work(connection: Connection) -> int:
            rows = connection.execution_options(yield_per=1000).execute(select(LEDGER).order_by(LEDGER.c.number))

            def records() -> Iterator[Record]:
                for row in rows.mappings():
                    yield _record(row)

            return verify(records(), _head(connection), self._key)

        return await self._database.read(work)


def _head(connection: Connection) -> Head:
    rows = connection.execute(select(LEDGER_HEAD).with_for_update()).mappings().all()
    if len(rows) != 1 or rows[0]["one"] != 1:
        raise Tampered("the head is missing", subject="ledger head")
    return Head(count=rows[0]["count"], hash=rows[0]["hash"], mac=rows[0]["mac"])


def _record(row: RowMapping) -> Record:
    try:
        plain = {**row, "body": from_text(Json, row["body"], "body")}
        return from_plain(Record, plain)
    except (Invalid, Tampered) as error:
        number = row["number"]
        raise Tampered(
            f"record {number} was changed: {error.message}", subject=f"ledger record {number}"
        ) from None
