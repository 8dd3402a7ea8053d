import asyncio
from dataclasses import replace

import pytest

from tests.workflow.bench import FORWARD, PATIENCE, RENEWAL_S, Bench, states
from tests.workflow.memory import BEGIN, PROPOSAL, NoteJournal, NoteLeases, Script, decision, new_run
from yamori.model.errors import (
    Busy,
    Conflict,
    Defect,
    Invalid,
    NotFound,
    NotPermitted,
    Rejected,
    TimedOut,
    Unreachable,
    Untrusted,
)
from yamori.model.ids import VMId
from yamori.model.proposal import Verdict
from yamori.model.run import RunState
from yamori.workflow.course import LARGEST_NOTE, LONGEST_ERROR
from yamori.workflow.engine import Engine
from yamori.workflow.plan import plan


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
