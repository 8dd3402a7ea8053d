"""How a story ended, as far as it must not depend on crashes; and what must hold of every ending."""

import sqlite3
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.crash.world import World
from yamori.model.plain import to_plain
from yamori.model.run import ENDED, RunState
from yamori.store import open_store
from yamori.trust.ledger import RecordKind
from yamori.workflow.journal import check_next

Json = dict[str, Any]


async def ending(state: Path, world: Path) -> Json:
    """Read the ending. Fails where the store contradicts itself."""
    store = await open_store(state)
    try:
        count = await store.ledger.verify()
        records = await store.ledger.records(after=0, limit=count + 1)
        told = [r.body for r in records if r.kind is RecordKind.RUN]
        runs = {}
        for listed in reversed(await store.journal.runs(limit=1000)):
            run = await store.journal.run(listed.id)
            assert run.state in ENDED
            before: RunState | None = None
            for number, entry in enumerate(run.entries):
                check_next(before, entry, number)
                before = entry.state
            assert before is run.state
            assert [e.token for e in run.entries] == sorted(e.token for e in run.entries)
            # The ledger tells the same entries in the same order: none lost, none added.
            ours = [{k: body[k] for k in to_plain(run.entries[0])} for body in told if body["run"] == run.id]
            assert ours == to_plain(run.entries)
            states = [state.value for state, _ in groupby(e.state for e in run.entries)]
            runs[run.id] = {
                "state": run.state.value,
                "states": states,
                "before": run.before,
                "seen": run.seen,
                "error": run.error,
            }
        rulings = [(r.run, r.decision.verdict.value) for r in reversed(await store.rulings.list(limit=1000))]
        holds = await store.holds.read()
        assert holds == store.holds.now()
        return {"runs": runs, "rulings": rulings, "holds": to_plain(holds), "world": World(world).read()}
    finally:
        await store.close()


def leased(state: Path) -> list[str]:
    """Return the subjects on which a lease is still out."""
    with sqlite3.connect(state / "yamori.db") as connection:
        rows = connection.execute("SELECT subject FROM leases WHERE owner IS NOT NULL").fetchall()
    connection.close()
    return [row[0] for row in rows]
