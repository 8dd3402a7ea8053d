"""The journal in the database: each entry, what it makes of its run, its facts and its ledger record together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from yamori.manifest.module import Hold
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import RunId, VMId
from yamori.model.plain import Json, from_plain, to_plain
from yamori.model.proposal import Decision
from yamori.model.run import ENDED, JournalEntry, Run, RunState
from yamori.store.database import Database
from yamori.store.holds import StoredHolds
from yamori.store.leases import check_token
from yamori.store.ledger import StoredLedger
from yamori.store.tables import ENTRIES, RUNS
from yamori.store.text import from_text, to_text
from yamori.trust.ledger import RecordKind
from yamori.workflow.journal import BEFORE, ERRING, ERROR, SEEN, Fact, check_next

MOST_UNFINISHED = 100_000
_JSON = ("proposal", "decision", "before", "seen")


class StoredJournal:
    """Fulfils ``workflow.journal.Journal``."""

    def __init__(self, database: Database, ledger: StoredLedger, holds: StoredHolds) -> None:
        self._database = database
        self._ledger = ledger
        self._holds = holds

    async def create(self, run: Run, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        """Write a new run with its first entry. Raises Conflict."""

        def work(connection: Connection) -> Mapping[VMId, Hold] | None:
            check_token(connection, run.subject, entry.token)
            check_next(None, entry, 0)
            _check_alone(connection, run.subject, run.id)
            try:
                connection.execute(
                    insert(RUNS).values(
                        id=run.id,
                        subject=run.subject,
                        state=entry.state.value,
                        created_at=to_plain(run.created_at),
                        updated_at=to_plain(entry.at),
                        proposal=to_text(run.proposal),
                        decision=to_text(run.decision),
                    )
                )
            except IntegrityError:
                raise Conflict("there is such a run already", subject=run.id) from None
            asked = {"proposal": to_plain(run.proposal), "decision": to_plain(run.decision)}
            return self._write_entry(connection, run.subject, run.decision.action.verb, entry, facts, asked)

        await self._database.write(work, then=self._holds.show)

    async def append(self, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        """Write the next entry of a run. Raises NotFound, Conflict."""

        def work(connection: Connection) -> Mapping[VMId, Hold] | None:
            found = connection.execute(select(RUNS).where(RUNS.c.id == entry.run).with_for_update()).first()
            if found is None:
                raise NotFound("there is no such run", subject=entry.run)
            check_token(connection, found.subject, entry.token)
            written = select(func.count()).select_from(ENTRIES).where(ENTRIES.c.run == entry.run)
            count = connection.execute(written).scalar_one()
            if count != entry.number:
                raise Conflict(
                    f"{count} entries are written, this would be number {entry.number}", subject=entry.run
                )
            check_next(RunState(found.state), entry, count)
            if RunState(found.state) in ENDED:
                _check_alone(connection, found.subject, entry.run)
            connection.execute(update(RUNS).where(RUNS.c.id == entry.run).values(**_changes(entry)))
            verb = from_text(Decision, found.decision, "decision").action.verb
            return self._write_entry(connection, found.subject, verb, entry, facts, {})

        await self._database.write(work, then=self._holds.show)

    def _write_entry(
        self,
        connection: Connection,
        subject: str,
        verb: str,
        entry: JournalEntry,
        facts: Sequence[Fact],
        asked: Json,
    ) -> Mapping[VMId, Hold] | None:
        plain = to_plain(entry)
        connection.execute(insert(ENTRIES).values(**{**plain, "note": to_text(entry.note)}))
        self._ledger.write(connection, RecordKind.RUN, {"subject": subject, "verb": verb, **asked, **plain})
        return self._holds.write(connection, facts)

    async def run(self, run: RunId) -> Run:
        """Return a run with all entries. Raises NotFound."""

        def work(connection: Connection) -> Run:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run)).mappings().first()
            if row is None:
                raise NotFound("there is no such run", subject=run)
            return _run(row, _entries(connection, run))

        return await self._database.read(work)

    async def runs(self, *, limit: int, subject: str | None = None) -> Sequence[Run]:
        """List runs without their entries, newest first."""

        def work(connection: Connection) -> list[Run]:
            wanted = select(RUNS).order_by(RUNS.c.ordinal.desc()).limit(limit)
            if subject is not None:
                wanted = wanted.where(RUNS.c.subject == subject)
            return [_run(row, ()) for row in connection.execute(wanted).mappings()]

        return await self._database.read(work)

    async def unfinished(self) -> Sequence[Run]:
        """List the runs that have not ended, oldest first, with their entries."""

        def work(connection: Connection) -> list[Run]:
            going = [state.value for state in RunState if state not in ENDED]
            wanted = select(RUNS).where(RUNS.c.state.in_(going)).order_by(RUNS.c.ordinal).limit(MOST_UNFINISHED)
            rows = connection.execute(wanted).mappings().all()
            return [_run(row, _entries(connection, row["id"])) for row in rows]

        return await self._database.read(work)


def _changes(entry: JournalEntry) -> dict[str, Any]:
    """Say which columns of a run an entry changes: the same as ``workflow.journal.fold``."""
    changes: dict[str, Any] = {"state": entry.state.value, "updated_at": to_plain(entry.at)}
    for name in (BEFORE, SEEN):
        if name in entry.note:
            changes[name] = to_text(entry.note[name])
    if ERROR in entry.note and entry.state in ERRING:
        changes[ERROR] = entry.note[ERROR]
    return changes


def _entries(connection: Connection, run: str) -> tuple[JournalEntry, ...]:
    rows = connection.execute(select(ENTRIES).where(ENTRIES.c.run == run).order_by(ENTRIES.c.number)).mappings()
    return tuple(
        from_plain(JournalEntry, {**row, "note": from_text(Json, row["note"], f"entry of run {run}")})
        for row in rows
    )


def _run(row: RowMapping, entries: tuple[JournalEntry, ...]) -> Run:
    where = f"run {row['id']}"
    plain = {name: value for name, value in row.items() if name != "ordinal"}
    plain |= {name: from_text(Any, row[name], where) for name in _JSON if row[name] is not None}
    return replace(from_plain(Run, plain, where=where), entries=entries)


def _check_alone(connection: Connection, subject: str, run: RunId) -> None:
    """Raise Conflict while another run on the subject is unfinished: what it changed is not settled yet."""
    under_way = select(RUNS.c.id).where(
        RUNS.c.subject == subject, RUNS.c.id != run, RUNS.c.state.not_in([state.value for state in ENDED])
    )
    if (other := connection.execute(under_way.limit(1)).scalar()) is not None:
        raise Conflict(f"run {other} is unfinished", subject=subject, mend="it is resumed by itself; try again")
