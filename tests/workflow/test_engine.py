import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.workflow.memory import BEGIN, PROPOSAL, HeldClock, NoteJournal, NoteLeases, Script, decision, new_run
from yamori.model.errors import (
    Busy,
    Conflict,
    Defect,
    Failed,
    Interrupted,
    Invalid,
    NotFound,
    NotPermitted,
    Rejected,
    TimedOut,
    Unreachable,
    Untrusted,
)
from yamori.model.ids import RunId, VMId
from yamori.model.proposal import Verdict
from yamori.model.run import JournalEntry, Run, RunState
from yamori.workflow.course import LARGEST_NOTE, LONGEST_ERROR
from yamori.workflow.engine import Engine
from yamori.workflow.journal import fold
from yamori.workflow.patience import Patience
from yamori.workflow.plan import plan

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


@pytest.fixture
def bench() -> Bench:
    return Bench()


def states(run: Run) -> list[RunState]:
    return [entry.state for entry in run.entries]


async def test_a_run_that_works_is_verified_and_journaled_before_and_after_each_effect(bench: Bench) -> None:
    step = Script()
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.VERIFIED
    assert states(run) == FORWARD
    assert step.calls == ["check", "apply", "verify"]
    assert (run.before, run.seen, run.error) == ({"was": 1}, {"is": 2}, None)
    assert run == await bench.journal.run(run.id)
    assert [t.state for t in bench.told] == FORWARD
    assert step.entered == FORWARD
    assert len(bench.journal.facts) == len(FORWARD)
    assert not bench.leases.holder
    assert not bench.engine.at_work


async def test_what_undoing_needs_is_written_before_anything_is_applied(bench: Bench) -> None:
    step = Script()
    reached, go_on = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    (run,) = await bench.journal.unfinished()
    assert (run.state, run.before) == (RunState.APPLYING, {"was": 1})
    go_on.set()
    await task


@pytest.mark.parametrize(
    "error", [Conflict("no"), NotFound("no"), Rejected("no"), Untrusted("no"), ValueError("no")]
)
async def test_a_run_whose_check_fails_is_refused_and_nothing_is_applied(bench: Bench, error: Exception) -> None:
    step = Script(check=[error])
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.REFUSED
    assert run.error is not None
    assert "no" in run.error
    assert step.calls == ["check"]


@pytest.mark.parametrize("phase", ["apply", "verify"])
@pytest.mark.parametrize("error", [Rejected("no"), Conflict("no"), Untrusted("no"), TypeError("no")])
async def test_a_run_that_fails_is_undone(bench: Bench, phase: str, error: Exception) -> None:
    step = Script(**{phase: [error]})
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.UNDONE
    assert states(run)[-3:] == [RunState.FAILED, RunState.UNDOING, RunState.UNDONE]
    assert step.calls[-1] == "undo"
    assert step.calls.count(phase) == 1
    assert run.error is not None
    assert "no" in run.error


@pytest.mark.parametrize("phase", ["check", "apply", "verify"])
async def test_a_transient_error_is_tried_again_and_each_try_is_noted(bench: Bench, phase: str) -> None:
    step = Script(**{phase: [Unreachable("gone"), Busy("later")]})
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.VERIFIED
    assert run.error is None
    assert step.calls.count(phase) == 3
    assert [e.note["attempt"] for e in run.entries if "attempt" in e.note] == [1, 2]
    assert {1.0, 2.0} <= set(bench.clock.slept)


@pytest.mark.parametrize(("phase", "end"), [("check", RunState.REFUSED), ("apply", RunState.UNDONE)])
async def test_a_transient_error_is_tried_a_bounded_number_of_times(
    bench: Bench, phase: str, end: RunState
) -> None:
    step = Script(**{phase: [TimedOut("slow")] * 50})
    run = await bench.engine.execute(new_run(), step)
    assert run.state is end
    assert step.calls.count(phase) == PATIENCE.attempts


async def test_undoing_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    step = Script(apply=[Rejected("no")], undo=[Unreachable("gone")] * 3)
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.UNDONE
    pauses = [s for s in bench.clock.slept if s != RENEWAL_S]
    assert pauses == [1.0, 2.0, 3.0]
    assert step.calls.count("undo") == 4


@pytest.mark.parametrize(("errors", "tries"), [([Unreachable("gone")] * 50, 4), ([Rejected("never")], 1)])
async def test_a_run_that_cannot_be_undone_is_abandoned_to_a_human(
    bench: Bench, errors: list[Exception], tries: int
) -> None:
    step = Script(verify=[Rejected("no")], undo=errors)
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.ABANDONED
    assert step.calls.count("undo") == tries
    assert run.error is not None
    assert str(errors[0]) in run.error
    again = await bench.engine.undo(run.id, Script(), by="operator:me")
    assert again.state is RunState.UNDONE


async def test_a_dry_run_only_checks_and_writes_nothing(bench: Bench) -> None:
    step = Script()
    run = await bench.engine.dry_run(new_run(), step)
    assert (run.state, run.before) == (RunState.PLANNED, {"was": 1})
    assert step.calls == ["check"]
    assert not bench.journal.kept
    with pytest.raises(Conflict):
        await bench.engine.dry_run(new_run(), Script(check=[Conflict("no")]))


@pytest.mark.parametrize("verdict", [Verdict.ASK, Verdict.DENY, Verdict.OBSERVE_ONLY])
async def test_only_what_is_allowed_is_carried_out(bench: Bench, verdict: Verdict) -> None:
    with pytest.raises(NotPermitted):
        await bench.engine.execute(replace(new_run(), decision=decision(verdict)), Script())
    with pytest.raises(NotPermitted):
        plan(VMId("v"), PROPOSAL, decision(verdict), BEGIN)
    assert not bench.journal.kept


async def test_a_run_is_carried_out_once(bench: Bench) -> None:
    run = new_run()
    ended = await bench.engine.execute(run, Script())
    step = Script()
    with pytest.raises(Conflict):
        await bench.engine.execute(run, step)
    with pytest.raises(Defect):
        await bench.engine.execute(ended, step)
    assert step.calls == []


async def test_one_run_at_a_time_for_each_subject(bench: Bench) -> None:
    first = Script()
    reached, go_on = first.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), first))
    await reached.wait()
    assert bench.engine.at_work == {"v"}
    second = Script()
    with pytest.raises(Conflict):
        await bench.engine.execute(new_run(), second)
    with pytest.raises(Conflict):
        await bench.another("somebody else").execute(new_run(), second)
    assert second.calls == []
    other = replace(new_run(), subject=VMId("w"))
    assert (await bench.engine.execute(other, Script())).state is RunState.VERIFIED
    go_on.set()
    assert (await task).state is RunState.VERIFIED


@pytest.mark.parametrize(
    ("phase", "calls"),
    [
        ("check", ["check", "apply", "verify"]),
        ("apply", ["apply", "verify"]),
        ("verify", ["verify"]),
    ],
)
async def test_a_cancelled_run_is_resumed_from_where_the_journal_ends(
    bench: Bench, phase: str, calls: list[str]
) -> None:
    step = Script()
    reached, _ = step.hold(phase)
    run = new_run()
    task = asyncio.create_task(bench.engine.execute(run, step))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bench.leases.holder
    (left,) = await bench.journal.unfinished()
    assert left.id == run.id
    fresh = Script()
    resumed = await bench.another("somebody else").resume(run.id, fresh)
    assert resumed.state is RunState.VERIFIED
    assert fresh.calls == calls
    assert any(entry.note == {"resumed": True} for entry in resumed.entries)
    assert resumed.entries[-1].token > resumed.entries[0].token


async def test_undoing_that_was_cancelled_is_resumed(bench: Bench) -> None:
    step = Script(apply=[Rejected("no")])
    reached, _ = step.hold("undo")
    run = new_run()
    task = asyncio.create_task(bench.engine.execute(run, step))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fresh = Script()
    resumed = await bench.engine.resume(run.id, fresh)
    assert resumed.state is RunState.UNDONE
    assert fresh.calls == ["undo"]
    assert resumed.error == "rejected: no"


async def test_resuming_an_ended_run_does_nothing(bench: Bench) -> None:
    run = await bench.engine.execute(new_run(), Script())
    step = Script()
    assert await bench.engine.resume(run.id, step) == run
    assert step.calls == []
    with pytest.raises(NotFound):
        await bench.engine.resume(RunId("never"), step)


async def test_a_run_that_another_engine_ended_meanwhile_is_left_alone(bench: Bench) -> None:
    step = Script()
    reached, _ = step.hold("verify")
    run = new_run()
    task = asyncio.create_task(bench.engine.execute(run, step))
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    unfinished = await bench.journal.run(run.id)
    ended = await bench.another("somebody else").resume(run.id, Script())

    asked = 0
    read = bench.journal.run

    async def stale_first(wanted: RunId) -> Run:
        nonlocal asked
        asked += 1
        return unfinished if asked == 1 else await read(wanted)

    bench.journal.run = stale_first  # type: ignore[method-assign]
    late = Script()
    assert await bench.engine.resume(run.id, late) == ended
    assert late.calls == []


async def test_a_verified_run_can_be_undone_once(bench: Bench) -> None:
    run = await bench.engine.execute(new_run(), Script())
    step = Script()
    undone = await bench.engine.undo(run.id, step, by="operator:me")
    assert undone.state is RunState.UNDONE
    assert step.calls == ["undo"]
    assert undone.seen == {"is": 2}
    assert [e.note for e in undone.entries if e.state is RunState.UNDOING] == [{"by": "operator:me"}]
    with pytest.raises(Conflict, match="nothing to undo"):
        await bench.engine.undo(run.id, step, by="operator:me")
    assert not bench.leases.holder


async def test_the_lease_is_renewed_while_a_step_takes_long(bench: Bench) -> None:
    step = Script()
    reached, go_on = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    await bench.leases.renewed_often.wait()
    go_on.set()
    assert (await task).state is RunState.VERIFIED


async def test_work_stops_when_the_lease_is_lost(bench: Bench) -> None:
    step = Script()
    reached, _ = step.hold("apply")
    run = new_run()
    task = asyncio.create_task(bench.engine.execute(run, step))
    await reached.wait()
    bench.leases.holder.clear()
    with pytest.raises(Interrupted):
        await task
    (left,) = await bench.journal.unfinished()
    assert left.state is RunState.APPLYING
    assert not bench.engine.at_work


async def test_work_stops_when_the_store_does_not_answer_for_as_long_as_the_lease_lasts(bench: Bench) -> None:
    step = Script()
    reached, _ = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    bench.leases.renew_raises = Unreachable("store")
    begin = bench.clock.now()
    with pytest.raises(Interrupted):
        await task
    # The renewal that was under way may have counted from one period before.
    assert bench.clock.now() - begin >= timedelta(seconds=PATIENCE.ttl_s - RENEWAL_S)


@pytest.mark.parametrize("late", [None, Failed("disk full")])
async def test_work_stops_when_the_renewal_itself_hangs(late: Exception | None) -> None:
    bench = Bench(replace(PATIENCE, ttl_s=0.3))
    step = Script()
    reached, _ = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    hanging = asyncio.Event()

    async def renew(*_: object) -> None:
        await hanging.wait()
        if late is not None:
            raise late

    bench.leases.renew = renew  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        await task
    hanging.set()
    await asyncio.sleep(0.01)


async def test_a_journal_that_skips_what_was_before_is_a_defect(bench: Bench) -> None:
    run = new_run()
    run = fold(run, JournalEntry(run=run.id, number=0, state=FORWARD[0], step="s", note={}, token=0, at=BEGIN))
    run = fold(run, JournalEntry(run=run.id, number=1, state=FORWARD[1], step="s", note={}, token=0, at=BEGIN))
    bench.journal.kept[run.id] = run
    with pytest.raises(Defect, match="without a note"):
        await bench.engine.resume(run.id, Script())


async def test_a_word_under_an_old_token_interrupts(bench: Bench) -> None:
    step = Script()
    reached, go_on = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    bench.journal.refuses = Conflict("fenced")
    go_on.set()
    with pytest.raises(Interrupted, match="fenced"):
        await task
    assert "undo" not in step.calls


async def test_a_journal_that_fails_is_no_failure_of_the_step(bench: Bench) -> None:
    step = Script()
    reached, go_on = step.hold("apply")
    task = asyncio.create_task(bench.engine.execute(new_run(), step))
    await reached.wait()
    bench.journal.refuses = Failed("disk full")
    go_on.set()
    with pytest.raises(Failed, match="disk full"):
        await task
    assert "undo" not in step.calls
    (left,) = await bench.journal.unfinished()
    assert left.state is RunState.APPLYING


async def test_a_lease_that_cannot_be_given_back_does_not_cost_the_result(bench: Bench) -> None:
    bench.leases.release_raises = Failed("disk full")
    assert (await bench.engine.execute(new_run(), Script())).state is RunState.VERIFIED


async def test_a_phase_without_end_counts_as_timed_out() -> None:
    bench = Bench(replace(PATIENCE, phase_s=0.01, attempts=2))
    step = Script()
    step.hold("apply")
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.UNDONE
    assert step.calls.count("apply") == 2
    assert run.error is not None
    assert run.error.startswith("timed_out")


async def test_a_step_that_cancels_itself_has_failed(bench: Bench) -> None:
    run = await bench.engine.execute(new_run(), Script(apply=[asyncio.CancelledError()]))
    assert run.state is RunState.UNDONE
    assert run.error is not None
    assert run.error.startswith("interrupted")


@pytest.mark.parametrize(
    "note", [{"x": "y" * LARGEST_NOTE}, ["no object"], {"x": object()}, {"x": float("nan")}, {"x": "\ud800"}]
)
async def test_a_step_can_only_note_what_the_journal_can_keep(bench: Bench, note: object) -> None:
    step = Script()
    step.before = note
    assert (await bench.engine.execute(new_run(), step)).state is RunState.REFUSED
    step = Script()
    step.seen = note
    assert (await bench.engine.execute(new_run(), step)).state is RunState.UNDONE


async def test_the_text_of_an_error_is_bounded(bench: Bench) -> None:
    run = await bench.engine.execute(new_run(), Script(check=[Invalid("x" * 100_000)]))
    assert run.error is not None
    assert len(run.error) == LONGEST_ERROR


async def test_a_step_that_cannot_say_what_would_become_true_is_refused_before_it_acts(bench: Bench) -> None:
    step = Script()
    step.cannot_say = RunState.APPLYING
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.REFUSED
    assert step.calls == ["check"]


async def test_facts_that_the_journal_cannot_keep_are_refused_before_anything_is_done(bench: Bench) -> None:
    bench.journal.cannot_keep = RunState.APPLYING
    step = Script()
    run = await bench.engine.execute(new_run(), step)
    assert run.state is RunState.REFUSED
    assert run.error == "invalid: cannot be kept"
    assert step.calls == ["check"]


async def test_an_error_in_odd_words_is_still_told(bench: Bench) -> None:
    run = await bench.engine.execute(new_run(), Script(check=[Rejected("half \ud800 pair")]))
    assert run.error == "rejected: half ? pair"


async def test_the_engine_has_a_clock_and_patience_of_its_own() -> None:
    journal, leases = NoteJournal(), NoteLeases()
    run = await Engine(journal=journal, leases=leases, owner="me").execute(new_run(), Script())
    assert run.state is RunState.VERIFIED
    assert run.entries[0].at.tzinfo is not None


def test_pauses_grow_up_to_a_bound() -> None:
    assert [PATIENCE.pause(n) for n in (1, 2, 3, 99)] == [1.0, 2.0, 3.0, 3.0]
