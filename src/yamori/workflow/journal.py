"""The durable record of runs: what may be written, in which order, and what a run is by its entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from yamori.model.errors import Defect
from yamori.model.ids import RunId
from yamori.model.run import JournalEntry, Run, RunState

NEXT: Mapping[RunState, frozenset[RunState]] = {
    RunState.PLANNED: frozenset({RunState.PLANNED, RunState.REFUSED, RunState.APPLYING}),
    RunState.APPLYING: frozenset({RunState.APPLYING, RunState.VERIFYING, RunState.FAILED}),
    RunState.VERIFYING: frozenset({RunState.VERIFYING, RunState.VERIFIED, RunState.FAILED}),
    RunState.VERIFIED: frozenset({RunState.UNDOING}),
    RunState.REFUSED: frozenset(),
    RunState.FAILED: frozenset({RunState.UNDOING}),
    RunState.UNDOING: frozenset({RunState.UNDOING, RunState.UNDONE, RunState.ABANDONED}),
    RunState.UNDONE: frozenset(),
    RunState.ABANDONED: frozenset({RunState.UNDOING}),
}
"""Which state may follow which. The same state again is a retry or a resumption, told by its note."""

BEFORE, SEEN, ERROR = "before", "seen", "error"
"""Members of an entry's note that become members of the run."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that becomes true in the transaction that writes an entry. Whoever binds steps derives from it."""


ERRING = frozenset({RunState.REFUSED, RunState.FAILED, RunState.ABANDONED})
"""The states whose error is the run's. An error noted in another state was tried again."""


def check_next(state: RunState | None, entry: JournalEntry, written: int) -> None:
    """Check that an entry can follow ``written`` entries that led to ``state``. Raises Defect."""
    if entry.number != written:
        raise Defect(f"entry {entry.number} of run {entry.run} cannot follow {written} entries")
    if entry.state not in ({RunState.PLANNED} if state is None else NEXT[state]):
        raise Defect(f"run {entry.run} cannot go from {state or 'nothing'} to {entry.state}")


def fold(run: Run, entry: JournalEntry) -> Run:
    """Return the run as it is after one more entry. Raises Defect for an entry that cannot follow."""
    check_next(run.state if run.entries else None, entry, len(run.entries))
    return replace(
        run,
        state=entry.state,
        before=entry.note.get(BEFORE, run.before),
        seen=entry.note.get(SEEN, run.seen),
        error=entry.note[ERROR] if ERROR in entry.note and entry.state in ERRING else run.error,
        updated_at=entry.at,
        entries=(*run.entries, entry),
    )


class Journal(Protocol):
    """Promises: each write is one transaction, on disk when the call returns, together with its facts.

    A write under a token older than the newest lease of the run's subject is refused, whoever writes it. At most
    one run on a subject is unfinished: it is finished before another begins or an ended one is taken back.
    """

    async def create(self, run: Run, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        """Write a new run with its first entry.

        Raises Conflict when there is such a run already, when another run on its subject is unfinished, or when
        the entry's token is not the newest.
        """
        ...

    async def append(self, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        """Write the next entry of a run.

        Raises NotFound, and Conflict when the token is not the newest, another entry has that number, or an
        ended run would be taken back while another on its subject is unfinished.
        """
        ...

    async def run(self, run: RunId) -> Run:
        """Return a run with all entries. Raises NotFound."""
        ...

    async def runs(self, *, limit: int, subject: str | None = None) -> Sequence[Run]:
        """List runs without their entries, newest first."""
        ...

    async def unfinished(self) -> Sequence[Run]:
        """List the runs that have not ended, oldest first, with their entries."""
        ...
