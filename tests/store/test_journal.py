from dataclasses import replace

import pytest

from tests.store.samples import BEGIN, DECISION, PROPOSAL, VM, SteppedClock, entry, hold, new_run
from yamori.control.records import HoldLifted, HoldReverted, HoldTaken
from yamori.model.errors import Conflict, Defect, NotFound
from yamori.model.ids import RunId, VMId
from yamori.model.plain import to_plain
from yamori.model.run import JournalEntry, Run, RunState
from yamori.store import Store
from yamori.trust.ledger import RecordKind
from yamori.workflow.journal import Fact, fold
from yamori.workflow.lease import Lease

FORWARD = (RunState.APPLYING, RunState.VERIFYING, RunState.VERIFIED)


async def began(store: Store, subject: str = VM) -> tuple[Run, Lease]:
    lease = await store.leases.acquire(subject, "me", 60.0)
    run = new_run(subject)
    await store.journal.create(run, entry(run, 0, RunState.PLANNED, lease))
    return run, lease


async def test_a_run_is_read_as_it_was_written(store: Store) -> None:
    run, lease = await began(store)
    entries: list[JournalEntry] = [entry(run, 0, RunState.PLANNED, lease)]
    notes = {RunState.APPLYING: {"before": {"x": None}}, RunState.VERIFIED: {"seen": {"y": [1]}}}
    for number, state in enumerate(FORWARD, 1):
        entries.append(entry(run, number, state, lease, **notes.get(state, {})))
        await store.journal.append(entries[-1])
    told = run
    for word in entries:
        told = fold(told, word)
    assert await store.journal.run(run.id) == told
    assert told.before == {"x": None}
    (listed,) = await store.journal.runs(limit=10)
    assert listed == replace(told, entries=())


async def test_each_entry_is_on_the_ledger_in_the_same_transaction(store: Store) -> None:
    run, lease = await began(store)
    await store.journal.append(entry(run, 1, RunState.APPLYING, lease, before={}))
    records = await store.ledger.records(after=0, limit=10)
    assert [r.kind for r in records] == [RecordKind.RUN, RecordKind.RUN]
    assert [r.body["state"] for r in records] == ["planned", "applying"]
    assert records[0].body["proposal"] == to_plain(PROPOSAL)
    assert records[0].body["decision"] == to_plain(DECISION)
    assert {"subject": "v", "verb": "throttle", "run": run.id, "token": lease.token}.items() <= records[
        1
    ].body.items()
    # One that is refused leaves no trace anywhere.
    with pytest.raises(Defect):
        await store.journal.append(entry(run, 2, RunState.VERIFYING, lease), facts=[Unknown()])
    assert (await store.journal.run(run.id)).state is RunState.APPLYING
    assert len(await store.ledger.records(after=0, limit=10)) == 2


class Unknown(Fact):
    __slots__ = ()


async def test_a_run_is_created_once(store: Store) -> None:
    run, lease = await began(store)
    with pytest.raises(Conflict, match="already"):
        await store.journal.create(run, entry(run, 0, RunState.PLANNED, lease))


async def test_at_most_one_run_on_a_subject_is_unfinished(store: Store) -> None:
    first, lease = await began(store)
    second = new_run()
    with pytest.raises(Conflict, match=f"run {first.id} is unfinished"):
        await store.journal.create(second, entry(second, 0, RunState.PLANNED, lease))
    await began(store, "another")
    for number, state in enumerate(FORWARD, 1):
        await store.journal.append(entry(first, number, state, lease))
    await store.journal.create(second, entry(second, 0, RunState.PLANNED, lease))
    with pytest.raises(Conflict, match=f"run {second.id} is unfinished"):
        await store.journal.append(entry(first, 4, RunState.UNDOING, lease))
    await store.journal.append(entry(second, 1, RunState.REFUSED, lease))
    await store.journal.append(entry(first, 4, RunState.UNDOING, lease))


async def test_words_out_of_turn_are_refused(store: Store) -> None:
    run, lease = await began(store)
    with pytest.raises(Conflict, match="number"):
        await store.journal.append(entry(run, 0, RunState.APPLYING, lease))
    with pytest.raises(Conflict, match="number"):
        await store.journal.append(entry(run, 2, RunState.APPLYING, lease))
    with pytest.raises(Defect):
        await store.journal.append(entry(run, 1, RunState.VERIFIED, lease))
    other = new_run()
    with pytest.raises(Defect):
        await store.journal.create(other, entry(other, 0, RunState.APPLYING, lease))
    with pytest.raises(NotFound):
        await store.journal.append(entry(RunId("never"), 0, RunState.PLANNED, lease))
    with pytest.raises(NotFound):
        await store.journal.run(RunId("never"))


async def test_a_word_under_an_older_token_is_refused(store: Store, clock: SteppedClock) -> None:
    run, old = await began(store)
    clock.passed = 61.0
    new = await store.leases.acquire(VM, "another", 60.0)
    for stale in (old, replace(new, token=new.token + 1)):
        with pytest.raises(Conflict, match="token"):
            await store.journal.append(entry(run, 1, RunState.APPLYING, stale, before={}))
        other = new_run()
        with pytest.raises(Conflict, match="token"):
            await store.journal.create(other, entry(other, 0, RunState.PLANNED, stale))
    await store.journal.append(entry(run, 1, RunState.APPLYING, new, before={}))
    await store.leases.release(new)
    with pytest.raises(Conflict, match="token"):
        await store.journal.append(entry(run, 2, RunState.VERIFYING, new))


async def test_a_run_without_a_lease_cannot_be_written(store: Store) -> None:
    run = new_run()
    with pytest.raises(Conflict, match="token"):
        await store.journal.create(run, entry(run, 0, RunState.PLANNED, Lease(subject=VM, owner="me", token=1)))


async def test_runs_are_listed_newest_first_and_unfinished_ones_oldest_first(store: Store) -> None:
    runs = [await began(store, subject) for subject in ("a", "b", "a2")]
    await store.journal.append(entry(runs[1][0], 1, RunState.REFUSED, runs[1][1], error="no"))
    ids = [run.id for run, _ in runs]
    assert [r.id for r in await store.journal.runs(limit=10)] == ids[::-1]
    assert [r.id for r in await store.journal.runs(limit=1)] == ids[-1:]
    assert [r.id for r in await store.journal.runs(limit=9, subject="b")] == [ids[1]]
    unfinished = await store.journal.unfinished()
    assert [r.id for r in unfinished] == [ids[0], ids[2]]
    assert len(unfinished[0].entries) == 1
    assert (await store.journal.run(ids[1])).error == "no"


async def test_everything_survives_closing_and_opening(store: Store, opener: object) -> None:
    assert callable(opener)
    run, lease = await began(store)
    await store.journal.append(
        entry(run, 1, RunState.APPLYING, lease, before={}), facts=[HoldTaken(hold=hold(run.id))]
    )
    kept = await store.journal.run(run.id)
    await store.close()
    again: Store = await opener()
    assert await again.journal.run(run.id) == kept
    assert again.holds.now() == {VM: hold(run.id)}
    assert await again.ledger.verify() == 2


async def test_a_hold_is_taken_with_the_word_that_takes_it(store: Store) -> None:
    run, lease = await began(store)
    assert store.holds.now() == {}
    await store.journal.append(
        entry(run, 1, RunState.APPLYING, lease, before={}), facts=[HoldTaken(hold=hold(run.id))]
    )
    assert store.holds.now() == {VM: hold(run.id)} == await store.holds.read()
    assert await store.holds.beneath(run.id) is None
    assert await store.holds.beneath(RunId("never")) is None


async def test_a_hold_that_replaced_another_gives_way_to_it_again(store: Store) -> None:
    first, lease = await began(store)
    await store.journal.append(
        entry(first, 1, RunState.APPLYING, lease, before={}), facts=[HoldTaken(hold=hold(first.id))]
    )
    for number, state in enumerate(FORWARD[1:], 2):
        await store.journal.append(entry(first, number, state, lease))
    second, lease = await began(store)
    await store.journal.append(
        entry(second, 1, RunState.APPLYING, lease, before={}), facts=[HoldTaken(hold=hold(second.id, cap=0.1))]
    )
    assert store.holds.now() == {VM: hold(second.id, cap=0.1)}
    assert await store.holds.beneath(second.id) == hold(first.id)
    # Taking it again, as a resumed run may, changes its terms and not its place.
    await store.journal.append(
        entry(second, 2, RunState.FAILED, lease, error="no"),
        facts=[HoldTaken(hold=hold(first.id, cap=0.4)), HoldTaken(hold=hold(second.id, cap=0.2))],
    )
    assert store.holds.now() == {VM: hold(second.id, cap=0.2)}
    await store.journal.append(
        entry(second, 3, RunState.UNDOING, lease), facts=[HoldReverted(vm=VM, run=second.id)]
    )
    assert store.holds.now() == {VM: hold(first.id, cap=0.4)} == await store.holds.read()


async def test_lifting_leaves_no_hold_and_touches_no_other_vm(store: Store) -> None:
    run, lease = await began(store)
    taken = [HoldTaken(hold=hold(name, vm)) for name, vm in (("1", "v"), ("2", "v"), ("3", "w"))]
    await store.journal.append(entry(run, 1, RunState.APPLYING, lease, before={}), facts=taken)
    await store.journal.append(entry(run, 2, RunState.VERIFYING, lease), facts=[HoldLifted(vm=VM)])
    assert store.holds.now() == {VMId("w"): hold("3", "w")}
    with pytest.raises(TypeError):
        store.holds.now()[VM] = hold("x")  # type: ignore[index]


async def test_times_are_kept_to_the_microsecond(store: Store) -> None:
    lease = await store.leases.acquire(VM, "me", 60.0)
    run = replace(new_run(), created_at=BEGIN.replace(microsecond=123456))
    await store.journal.create(run, entry(run, 0, RunState.PLANNED, lease))
    assert (await store.journal.run(run.id)).created_at == run.created_at
