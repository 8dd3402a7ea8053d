import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.workflow.bench import FORWARD, PATIENCE, RENEWAL_S, Bench
from tests.workflow.memory import BEGIN, Script, new_run
from yamori.model.errors import (
    Conflict,
    Defect,
    Failed,
    Interrupted,
    NotFound,
    Rejected,
    Unreachable,
)
from yamori.model.ids import RunId, VMId
from yamori.model.run import JournalEntry, Run, RunState
from yamori.workflow.journal import fold


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
