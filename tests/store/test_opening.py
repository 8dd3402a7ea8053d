# ruff: noqa: ASYNC221, ASYNC240 -- these tests may look at files and start a process while nothing else runs
import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from tests.store.conftest import Opener
from tests.store.samples import VM, SteppedClock, entry, new_run
from yamori.model.errors import Busy, Conflict, Failed, Untrusted
from yamori.model.run import RunState
from yamori.store import database as database_module
from yamori.store import open_store
from yamori.store.opening import DATABASE, LEDGER_KEY
from yamori.store.schema import newest, upgrade
from yamori.store.tables import METADATA

OLD = Path(__file__).parent / "schema-0001.sql"
"""A database as the first schema left it, dumped once, with a run that was interrupted."""


def query(state_dir: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        return connection.execute(sql).fetchall()


async def test_what_is_kept_is_private(opener: Opener, state_dir: Path) -> None:
    old = os.umask(0)
    try:
        await opener()
    finally:
        os.umask(old)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    for file in state_dir.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777])
async def test_a_directory_that_others_can_get_at_is_not_trusted(state_dir: Path, mode: int) -> None:
    state_dir.mkdir()
    state_dir.chmod(mode)
    with pytest.raises(Untrusted, match="chmod 700"):
        await open_store(state_dir)
    assert not list(state_dir.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_directory_of_somebody_else_is_not_trusted(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    os.chown(state_dir, 65534, -1)
    with pytest.raises(Untrusted, match="65534"):
        await open_store(state_dir)


async def test_a_ledger_key_that_others_could_read_is_not_trusted(opener: Opener, state_dir: Path) -> None:
    await (await opener()).close()
    (state_dir / LEDGER_KEY).chmod(0o644)
    with pytest.raises(Untrusted):
        await opener()


@pytest.mark.parametrize("content", ["not hexadecimal", "abcd"])
async def test_a_ledger_key_that_is_none_is_told(content: str, opener: Opener, state_dir: Path) -> None:
    await (await opener()).close()
    (state_dir / LEDGER_KEY).write_text(content)
    with pytest.raises(Untrusted, match="key"):
        await opener()


async def test_a_path_that_cannot_be_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed):
        await open_store(tmp_path / "file" / "state")
    with pytest.raises(Failed):
        await open_store(tmp_path / "file")


async def test_a_file_that_is_no_database_is_told(opener: Opener, state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    (state_dir / DATABASE).write_bytes(b"this is not a database" * 1000)
    with pytest.raises(Failed, match="database"):
        await opener()


async def test_a_commit_is_on_disk_and_readers_do_not_wait(opener: Opener) -> None:
    store = await opener()
    pragmas = {}
    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
        sql = f"PRAGMA {name}"
        pragmas[name] = await store._database.read(lambda c, sql=sql: c.exec_driver_sql(sql).scalar())  # type: ignore[misc]
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


async def test_an_old_database_is_brought_up_to_date_and_keeps_what_it_has(
    opener: Opener, state_dir: Path, clock: SteppedClock
) -> None:
    state_dir.mkdir(mode=0o700)
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        connection.executescript(OLD.read_text())
    (state_dir / LEDGER_KEY).touch(mode=0o600)
    (state_dir / LEDGER_KEY).write_text("00" * 32)
    store = await opener()
    assert query(state_dir, "SELECT version_num FROM alembic_version") == [(newest(),)]
    (run,) = await store.journal.unfinished()
    assert run.state is RunState.APPLYING
    assert run.before == {"limits": {"cpu_cap": None}}
    assert await store.ledger.verify() == 2
    assert await store.findings.open() == []
    clock.passed = 16.0
    lease = await store.leases.acquire(run.subject, "me", 60.0)
    await store.journal.append(entry(run, 2, RunState.VERIFYING, lease))
    assert await store.ledger.verify() == 3


async def test_a_database_of_a_later_version_is_left_alone(opener: Opener, state_dir: Path) -> None:
    await (await opener()).close()
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = query(state_dir, "SELECT name, sql FROM sqlite_master ORDER BY name")
    with pytest.raises(Conflict, match="9999"):
        await opener()
    assert query(state_dir, "SELECT name, sql FROM sqlite_master ORDER BY name") == before


async def test_the_migrations_lead_to_the_tables_that_the_code_uses(opener: Opener, state_dir: Path) -> None:
    await opener()
    engine = create_engine(f"sqlite:///{state_dir / DATABASE}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database_module._engine(create_engine(f"sqlite:///{tmp_path / 'x.db'}").url)

    def tables() -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
            return connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'").fetchall()

    def twice() -> None:
        with engine.connect() as connection, connection.begin():
            upgrade(connection)
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        twice()
    assert tables() == []
    with engine.connect() as connection, connection.begin():
        upgrade(connection, "0001")
    assert ("runs",) in tables()
    assert ("holds",) not in tables()
    engine.dispose()


async def test_one_controller_for_each_state_directory(opener: Opener, state_dir: Path) -> None:
    first, second = await opener(), await opener()
    owner = first.claim()
    with pytest.raises(Conflict, match=f"process {os.getpid()}"):
        second.claim()
    other = subprocess.run(
        [sys.executable, "-c", CLAIM, str(state_dir)], capture_output=True, text=True, check=False, timeout=60
    )
    assert other.stdout.strip() == "conflict", other.stderr
    await first.close()
    assert second.claim() == owner
    await second.close()


CLAIM = """
import asyncio, pathlib, sys
from yamori.model.errors import Conflict
from yamori.store import open_store
store = asyncio.run(open_store(pathlib.Path(sys.argv[1])))
try:
    store.claim()
    print("claimed")
except Conflict:
    print("conflict")
"""


async def test_a_cancelled_write_has_ended_when_the_cancellation_goes_on(opener: Opener) -> None:
    store = await opener()
    lease = await store.leases.acquire(VM, "me", 60.0)
    run = new_run()
    writing = asyncio.create_task(store.journal.create(run, entry(run, 0, RunState.PLANNED, lease)))
    await asyncio.sleep(0)
    writing.cancel()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    # It was begun, hence it has been done: not perhaps later.
    assert [r.id for r in await store.journal.runs(limit=1)] == [run.id]


async def test_a_write_that_fails_after_its_caller_is_gone_is_nobodys_error(opener: Opener) -> None:
    store = await opener()

    def fail(_: object) -> None:
        raise Conflict("no")

    writing = asyncio.create_task(store._database.write(fail))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_writes_without_end_are_refused(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opener()
    monkeypatch.setattr(database_module, "MOST_WAITING", 3)
    asked = await asyncio.gather(
        *(store.leases.acquire(f"v{n}", "me", 1.0) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Busy) for answer in asked) == 7
    await store.leases.acquire("again", "me", 1.0)


async def test_a_database_that_another_process_writes_to_is_busy(
    opener: Opener, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_MS", 50)
    store = await opener()
    with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy):
            await store.leases.acquire("v", "me", 1.0)
        assert await store.journal.runs(limit=1) == []
        other.execute("ROLLBACK")
    assert (await store.leases.acquire("v", "me", 1.0)).token == 1


async def test_a_disk_that_fails_is_told_and_nothing_is_half_written(opener: Opener, state_dir: Path) -> None:
    store = await opener()
    lease = await store.leases.acquire(VM, "me", 60.0)
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        # The last table of the transaction refuses, as a full disk would in the middle of it.
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        connection.commit()
    run = new_run()
    with pytest.raises(Failed, match="disk is full"):
        await store.journal.create(run, entry(run, 0, RunState.PLANNED, lease))
    assert await store.journal.runs(limit=1) == []


async def test_a_table_that_somebody_dropped_is_told(opener: Opener, state_dir: Path) -> None:
    store = await opener()
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        connection.execute("DROP TABLE rulings")
        connection.commit()
    with pytest.raises(Failed, match="no such table"):
        await store.rulings.list(limit=1)


async def test_closing_twice_is_the_same_as_once(opener: Opener) -> None:
    store = await opener()
    await store.close()
    await store.close()
