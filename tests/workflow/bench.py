"""An engine on a bench: journal, leases and clock in memory."""

from tests.workflow.memory import HeldClock, NoteJournal, NoteLeases
from yamori.model.run import Run, RunState
from yamori.workflow.engine import Engine
from yamori.workflow.patience import Patience

PATIENCE = Patience(attempts=3, undo_attempts=4, pause_s=1.0, pause_most_s=3.0, ttl_s=12.0)
RENEWAL_S = 4.0
FORWARD = [RunState.PLANNED, RunState.APPLYING, RunState.VERIFYING, RunState.VERIFIED]


class Bench:
    def __init__(self, patience: Patience = PATIENCE, owner: str = "me") -> None:
        self.journal, self.leases, self.clock = NoteJournal(), NoteLeases(), HeldClock()
        self.told: list[Run] = []
        self.engine = self.another(owner, patience)

    def another(self, owner: str, patience: Patience = PATIENCE) -> Engine:
        return Engine(
            journal=self.journal,
            leases=self.leases,
            owner=owner,
            clock=self.clock,
            patience=patience,
            told=self.told.append,
        )


def states(run: Run) -> list[RunState]:
    return [entry.state for entry in run.entries]
