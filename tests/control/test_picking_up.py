"""A run that broke off is gone on with by itself, after a pause; it is never forgotten."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

from tests.store.samples import BEGIN, entry, new_run
from tests.workflow.memory import NoteJournal
from yamori.control.dispatcher import RETRY_S, Dispatcher, World
from yamori.control.fleet import Fleet
from yamori.model.errors import Interrupted
from yamori.model.ids import RunId
from yamori.model.run import Run, RunState
from yamori.workflow.lease import Lease


class LosesItsLease:
    """An engine whose first attempt is interrupted."""

    def __init__(self, journal: NoteJournal) -> None:
        self.attempts = 0
        self._journal = journal

    async def resume(self, run: RunId, _: object) -> Run:
        self.attempts += 1
        if self.attempts == 1:
            raise Interrupted("the lease was lost")
        return await self._journal.run(run)


class Hands(Dispatcher):
    def _bind(self, *_: object) -> None:
        return None

    async def _finding(self, _: Run) -> None:
        return None


async def test_a_run_that_broke_off_is_picked_up_after_a_pause() -> None:
    now = [BEGIN]
    journal = NoteJournal()
    run = new_run()
    await journal.create(run, entry(run, 0, RunState.PLANNED, Lease(subject=run.subject, owner="me", token=1)))
    engine = LosesItsLease(journal)
    nothing = SimpleNamespace()
    hands = Hands(
        world=World(
            fleet=Fleet,
            view=lambda: None,
            load=dict,
            policy=lambda: None,
            now=lambda: now[0],
            keepers={},
            kill_switch=lambda: False,
        ),
        engine=engine,
        journal=journal,
        rulings=nothing,
        holds=nothing,
        findings=nothing,
        steps={},
        on_ruling=lambda *_: None,
    )
    await hands.resume()
    await asyncio.sleep(0.01)
    assert engine.attempts == 1
    await hands.pick_up()
    await asyncio.sleep(0.01)
    assert engine.attempts == 1, "not before the pause is over"
    now[0] += timedelta(seconds=RETRY_S)
    await hands.pick_up()
    await asyncio.sleep(0.01)
    assert engine.attempts == 2
    now[0] += timedelta(seconds=RETRY_S)
    await hands.pick_up()
    assert engine.attempts == 2, "once is enough when it comes through"
