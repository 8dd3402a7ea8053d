"""Findings in the database. What changes the judgement is on the ledger; what only measures it anew is not."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, insert, select, update

from yamori.model.errors import NotFound
from yamori.model.finding import Finding
from yamori.model.ids import FindingId
from yamori.model.plain import to_plain
from yamori.store.database import Database
from yamori.store.ledger import StoredLedger
from yamori.store.tables import FINDINGS
from yamori.store.text import from_text, to_text
from yamori.trust.ledger import RecordKind

MOST_OPEN = 100_000


class StoredFindings:
    """Fulfils ``control.records.Findings``."""

    def __init__(self, database: Database, ledger: StoredLedger) -> None:
        self._database = database
        self._ledger = ledger

    async def upsert(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Write findings in one transaction; return them as stored."""
        if not findings:
            return ()
        return await self._database.write(lambda connection: [self._upsert(connection, f) for f in findings])

    def _upsert(self, connection: Connection, finding: Finding) -> Finding:
        known = _known(connection, finding)
        if known is None:
            connection.execute(
                insert(FINDINGS).values(
                    id=finding.id, key=finding.key, open=finding.closed_at is None, body=to_text(finding)
                )
            )
            self._tell(connection, RecordKind.FINDING_RAISED, replace(finding, closed_at=None))
            if finding.closed_at is not None:
                self._tell(connection, RecordKind.FINDING_CLOSED, finding)
            return finding
        if known.closed_at is not None and finding.closed_at is not None:
            return known
        if known.closed_at is not None or known.key != finding.key:
            # Closed trouble that comes back, or another one under an old name, is a new finding.
            return self._upsert(connection, replace(finding, id=FindingId(secrets.token_hex(10))))
        stored = replace(finding, id=known.id, opened_at=known.opened_at)
        connection.execute(
            update(FINDINGS)
            .where(FINDINGS.c.id == known.id)
            .values(open=stored.closed_at is None, body=to_text(stored))
        )
        if stored.closed_at is not None:
            self._tell(connection, RecordKind.FINDING_CLOSED, stored)
        elif _judgement(stored) != _judgement(known):
            self._tell(connection, RecordKind.FINDING_CHANGED, stored)
        return stored

    def _tell(self, connection: Connection, kind: RecordKind, finding: Finding) -> None:
        self._ledger.write(connection, kind, to_plain(finding))

    async def open(self) -> Sequence[Finding]:
        """List all open findings, oldest first."""
        wanted = select(FINDINGS.c.body).where(FINDINGS.c.open).order_by(FINDINGS.c.ordinal).limit(MOST_OPEN)
        return await self._database.read(lambda connection: _read(connection.execute(wanted).scalars().all()))

    async def list(self, *, open_only: bool, limit: int) -> Sequence[Finding]:
        """List findings, newest first."""
        wanted = select(FINDINGS.c.body).order_by(FINDINGS.c.ordinal.desc()).limit(limit)
        if open_only:
            wanted = wanted.where(FINDINGS.c.open)
        return await self._database.read(lambda connection: _read(connection.execute(wanted).scalars().all()))

    async def get(self, finding: FindingId) -> Finding:
        """Return one finding. Raises NotFound."""
        wanted = select(FINDINGS.c.body).where(FINDINGS.c.id == finding)
        found = await self._database.read(lambda connection: _read(connection.execute(wanted).scalars().all()))
        if not found:
            raise NotFound("there is no such finding", subject=finding)
        return found[0]


def _known(connection: Connection, finding: Finding) -> Finding | None:
    """Find the same trouble that is still open, by its key, else the finding that bears the id."""
    by_key = select(FINDINGS.c.body).where(FINDINGS.c.key == finding.key, FINDINGS.c.open)
    by_id = select(FINDINGS.c.body).where(FINDINGS.c.id == finding.id)
    for wanted in (by_key, by_id):
        if (body := connection.execute(wanted.with_for_update()).scalar_one_or_none()) is not None:
            return _read([body])[0]
    return None


def _judgement(finding: Finding) -> tuple[object, ...]:
    """Return what policy and people decide by."""
    return (finding.severity, finding.nature, finding.cause, finding.kind, finding.resource, finding.host)


def _read(bodies: Sequence[str]) -> Sequence[Finding]:
    return [from_text(Finding, body, "finding") for body in bodies]
