"""The ledger as it stands in the database: whoever edits the file is found out."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.conftest import Opener
from tests.store.samples import VM, entry, new_run
from yamori.model.errors import Invalid, Tampered
from yamori.model.run import RunState
from yamori.store import Store
from yamori.store.opening import DATABASE, LEDGER_KEY
from yamori.trust.ledger import RecordKind


def edit(state_dir: Path, *statements: str) -> None:
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def filled(store: Store) -> Store:
    for number in range(5):
        await store.ledger.append(RecordKind.DRIFT, {"subject": f"v{number}", "x": [1.5, 2**63 - 1024, "ü\x00"]})
    return store


async def test_the_newest_record_of_a_kind_is_found(store: Store) -> None:
    assert await store.ledger.last(RecordKind.DRIFT) is None
    await filled(store)
    await store.ledger.append(RecordKind.STOPPED, {})
    found = await store.ledger.last(RecordKind.DRIFT)
    assert found is not None
    assert (found.number, found.body["subject"]) == (5, "v4")


async def test_a_newest_record_that_was_changed_is_not_believed(state_dir: Path, opener: Opener) -> None:
    store = await opener()
    await store.ledger.append(RecordKind.KILL_SWITCH, {"on": True})
    await store.close()
    edit(state_dir, """UPDATE ledger SET body = '{"on":false}' WHERE kind = 'kill_switch'""")
    store = await opener()
    with pytest.raises(Tampered, match="record 1 was changed"):
        await store.ledger.last(RecordKind.KILL_SWITCH)


async def test_records_are_read_as_they_were_written(store: Store) -> None:
    assert await store.ledger.verify() == 0
    await filled(store)
    assert await store.ledger.verify() == 5
    records = await store.ledger.records(after=2, limit=2)
    assert [r.number for r in records] == [3, 4]
    assert records[0].body == {"subject": "v2", "x": [1.5, 2**63 - 1024, "ü\x00"]}
    assert await store.ledger.records(after=5, limit=2) == []


async def test_writers_at_once_make_one_chain(store: Store) -> None:
    await asyncio.gather(*(store.ledger.append(RecordKind.DRIFT, {"n": n}) for n in range(40)))
    assert await store.ledger.verify() == 40


EDITS = {
    "body": ["UPDATE ledger SET body = replace(body, 'v2', 'w2') WHERE number = 3"],
    "body that is no JSON": ["UPDATE ledger SET body = '{' WHERE number = 3"],
    "body that is no object": ["UPDATE ledger SET body = '[]' WHERE number = 3"],
    "kind": ["UPDATE ledger SET kind = 'duplicate' WHERE number = 3"],
    "kind that there is not": ["UPDATE ledger SET kind = 'fine' WHERE number = 3"],
    "time": ["UPDATE ledger SET at = '2026-01-01T00:00:01.000000Z' WHERE number = 3"],
    "time that is none": ["UPDATE ledger SET at = 'noon' WHERE number = 3"],
    "hash": ["UPDATE ledger SET hash = 'x' WHERE number = 3"],
    "deleted": ["DELETE FROM ledger WHERE number = 3"],
    "deleted and closed up": [
        "DELETE FROM ledger WHERE number = 3",
        "UPDATE ledger SET number = 3 WHERE number = 4",
        "UPDATE ledger SET number = 4 WHERE number = 5",
    ],
    "swapped": [
        "UPDATE ledger SET number = 99 WHERE number = 3",
        "UPDATE ledger SET number = 3 WHERE number = 4",
        "UPDATE ledger SET number = 4 WHERE number = 99",
    ],
}
OF_THE_HEAD = {
    "tail cut off": ["DELETE FROM ledger WHERE number > 3"],
    "all cut off": ["DELETE FROM ledger"],
    "tail and head": [
        "DELETE FROM ledger WHERE number > 3",
        "UPDATE ledger_head SET count = 3, hash = (SELECT hash FROM ledger WHERE number = 3)",
    ],
    "head gone": ["DELETE FROM ledger_head"],
    "head of an empty ledger": ["DELETE FROM ledger", "UPDATE ledger_head SET count = 0, hash = '0'"],
    "second head": ["INSERT INTO ledger_head SELECT 2, count, hash, mac FROM ledger_head"],
}


@pytest.mark.parametrize("what", EDITS)
async def test_an_edited_record_is_named(what: str, store: Store, state_dir: Path) -> None:
    await filled(store)
    edit(state_dir, *EDITS[what])
    with pytest.raises(Tampered, match="record 3"):
        await store.ledger.verify()


@pytest.mark.parametrize("what", OF_THE_HEAD)
async def test_an_edited_end_is_detected(what: str, store: Store, state_dir: Path) -> None:
    await filled(store)
    edit(state_dir, *OF_THE_HEAD[what])
    with pytest.raises(Tampered):
        await store.ledger.verify()


@pytest.mark.parametrize("what", ["tail and head", "head gone", "second head"])
async def test_nothing_is_written_upon_a_head_that_does_not_hold(what: str, store: Store, state_dir: Path) -> None:
    """Else our own seal would make good what somebody else has changed. Acting stops with it."""
    await filled(store)
    edit(state_dir, *OF_THE_HEAD[what])
    lease = await store.leases.acquire(VM, "me", 60.0)
    run = new_run()
    with pytest.raises(Tampered):
        await store.journal.create(run, entry(run, 0, RunState.PLANNED, lease))
    assert await store.journal.runs(limit=10) == []
    with pytest.raises(Tampered):
        await store.ledger.append(RecordKind.DRIFT, {})


async def test_a_ledger_with_another_key_does_not_verify(store: Store, state_dir: Path, opener: Opener) -> None:
    await filled(store)
    await store.close()
    (state_dir / LEDGER_KEY).write_text("ab" * 32)
    with pytest.raises(Tampered, match="head"):
        await (await opener()).ledger.verify()


async def test_a_body_that_json_cannot_say_is_refused(store: Store) -> None:
    with pytest.raises(Invalid):
        await store.ledger.append(RecordKind.DRIFT, {"x": float("inf")})
    assert await store.ledger.verify() == 0
