"""Holds in the database, and their mirror in memory for those who must not wait."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import Connection, delete, insert, select, update

from yamori.control.records import HoldLifted, HoldReverted, HoldTaken
from yamori.manifest.module import Hold
from yamori.model.errors import Defect
from yamori.model.ids import RunId, VMId
from yamori.store.database import Database
from yamori.store.tables import HOLDS
from yamori.store.text import from_text, to_text
from yamori.workflow.journal import Fact


class StoredHolds:
    """Fulfils ``control.records.Holds``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mirror: Mapping[VMId, Hold] = MappingProxyType({})

    def now(self) -> Mapping[VMId, Hold]:
        """Return the holds in force, from memory."""
        return self._mirror

    async def read(self) -> Mapping[VMId, Hold]:
        """Read the holds in force afresh."""
        return await self._database.read(_in_force)

    async def beneath(self, run: RunId) -> Hold | None:
        """Return the hold that the hold of a run replaced."""

        def work(connection: Connection) -> Hold | None:
            own = connection.execute(select(HOLDS).where(HOLDS.c.run == run)).first()
            if own is None:
                return None
            rows = select(HOLDS).where(HOLDS.c.vm == own.vm, HOLDS.c.ordinal < own.ordinal)
            below = connection.execute(rows.order_by(HOLDS.c.ordinal.desc()).limit(1)).first()
            return None if below is None else _hold(below.run, below.body)

        return await self._database.read(work)

    def write(self, connection: Connection, facts: Sequence[Fact]) -> Mapping[VMId, Hold] | None:
        """Write what facts say of holds, within a transaction. Returns the holds then in force, None if the same.

        Raises Defect for a fact that nobody here knows: leaving it out would lose it.
        """
        for fact in facts:
            match fact:
                case HoldTaken():
                    _take(connection, fact.hold)
                case HoldReverted():
                    connection.execute(delete(HOLDS).where(HOLDS.c.run == fact.run, HOLDS.c.vm == fact.vm))
                case HoldLifted():
                    connection.execute(delete(HOLDS).where(HOLDS.c.vm == fact.vm))
                case _:
                    raise Defect(f"no table keeps a {type(fact).__name__}")
        return _in_force(connection) if facts else None

    def show(self, holds: Mapping[VMId, Hold] | None) -> None:
        """Put what a committed transaction left into the mirror."""
        if holds is not None:
            self._mirror = MappingProxyType(dict(holds))

    def load(self, connection: Connection) -> None:
        """Fill the mirror when the store opens."""
        self.show(_in_force(connection))


def _take(connection: Connection, hold: Hold) -> None:
    """Write a hold on top of those that its VM has. Taking it again changes its terms, not its place."""
    body = to_text(hold)
    again = update(HOLDS).where(HOLDS.c.run == hold.run, HOLDS.c.vm == hold.vm).values(body=body)
    if connection.execute(again).rowcount == 0:
        connection.execute(insert(HOLDS).values(run=hold.run, vm=hold.vm, body=body))


def _in_force(connection: Connection) -> dict[VMId, Hold]:
    rows = connection.execute(select(HOLDS).order_by(HOLDS.c.ordinal))
    return {VMId(row.vm): _hold(row.run, row.body) for row in rows}


def _hold(run: str, body: str) -> Hold:
    hold: Hold = from_text(Hold, body, f"hold of run {run}")
    return hold
