"""Decisions with their proposals in the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, insert, select

from yamori.control.facade import Ruling
from yamori.model.errors import NotFound
from yamori.model.ids import RunId
from yamori.model.plain import to_plain
from yamori.model.proposal import Decision, Proposal
from yamori.store.database import Database
from yamori.store.ledger import StoredLedger
from yamori.store.tables import RULINGS
from yamori.store.text import from_text, to_text
from yamori.trust.ledger import RecordKind


class StoredRulings:
    """Fulfils ``control.records.Rulings``."""

    def __init__(self, database: Database, ledger: StoredLedger) -> None:
        self._database = database
        self._ledger = ledger

    async def add(self, proposal: Proposal, decision: Decision, *, run: RunId | None) -> Ruling:
        """Record a decision and what it ruled on."""

        def work(connection: Connection) -> Ruling:
            values = {"proposal": to_text(proposal), "decision": to_text(decision), "run": run}
            key = connection.execute(insert(RULINGS).values(**values)).inserted_primary_key
            number = int(key[0]) if key is not None else 0
            self._ledger.write(connection, RecordKind.PROPOSED, {"ruling": number, **to_plain(proposal)})
            self._ledger.write(
                connection, RecordKind.DECIDED, {"ruling": number, "run": run, **to_plain(decision)}
            )
            return Ruling(number=number, proposal=proposal, decision=decision, run=run)

        return await self._database.write(work)

    async def list(self, *, limit: int) -> Sequence[Ruling]:
        """List decisions, newest first."""
        wanted = select(RULINGS).order_by(RULINGS.c.number.desc()).limit(limit)
        return await self._database.read(
            lambda connection: [_ruling(row) for row in connection.execute(wanted).mappings()]
        )

    async def of_run(self, run: RunId) -> Ruling:
        """Return the decision that led to a run. Raises NotFound."""
        wanted = select(RULINGS).where(RULINGS.c.run == run).order_by(RULINGS.c.number.desc()).limit(1)
        row = await self._database.read(lambda connection: connection.execute(wanted).mappings().first())
        if row is None:
            raise NotFound("no decision led to it", subject=run)
        return _ruling(row)


def _ruling(row: RowMapping) -> Ruling:
    where = f"ruling {row['number']}"
    return Ruling(
        number=row["number"],
        proposal=from_text(Proposal, row["proposal"], where),
        decision=from_text(Decision, row["decision"], where),
        run=row["run"],
    )
