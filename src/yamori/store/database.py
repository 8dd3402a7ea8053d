"""One database: writes one after the other in a thread of their own, reads beside them. No caller ever blocks."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from yamori.model.errors import Busy, Failed
from yamori.store.waiting import finish

T = TypeVar("T")

MOST_WAITING = 1024
"""Writes that may wait; one more is refused as Busy, so that a stalled disk does not eat the memory."""
BUSY_MS = 10_000
"""How long SQLite waits for another process's write."""
READERS = 2
_WRITING = "yamori_writing"


class Database:
    """Transactions as functions: ``work`` gets a connection, its return value comes back after the commit."""

    def __init__(self, url: URL) -> None:
        self._engine = _engine(url)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="yamori-store-write")
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="yamori-store-read")
        self._waiting = 0

    async def write(self, work: Callable[[Connection], T], *, then: Callable[[T], None] | None = None) -> T:
        """Do ``work`` in one writing transaction; it is on disk when this returns.

        ``then`` runs right after the commit, in the writer's thread. A cancelled caller waits for the end of
        its transaction before the cancellation goes on: nothing of it is left under way. Raises what ``work``
        raises (all is rolled back), Busy, Failed.
        """

        def transaction() -> T:
            with self._begin(writing=True) as connection:
                result = work(connection)
            if then is not None:
                then(result)
            return result

        if self._waiting >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} writes are waiting for the database")
        self._waiting += 1
        try:
            return await finish(self._writer, transaction)
        finally:
            self._waiting -= 1

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` in one reading transaction, which sees one moment of the database. Raises Busy, Failed."""

        def transaction() -> T:
            with self._begin(writing=False) as connection:
                return work(connection)

        return await finish(self._readers, transaction)

    async def close(self) -> None:
        """Finish the writes that wait, and close."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    @contextlib.contextmanager
    def _begin(self, *, writing: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                options = connection.execution_options(**{_WRITING: writing})
                with options.begin():
                    yield connection
        except OperationalError as error:
            if "locked" in str(error.orig) or "busy" in str(error.orig):
                raise Busy("another process is writing to the database") from error
            raise Failed(f"the database failed: {error.orig}", mend="look at the disk and its space") from error
        except DBAPIError as error:
            raise Failed(f"the database failed: {error.orig}") from error


def _engine(url: URL) -> Engine:
    engine = create_engine(url, pool_size=READERS + 1, max_overflow=0)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's module must not begin transactions by itself: it would begin them late, and never for DDL.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit is on disk, also in WAL mode
        f"busy_timeout = {BUSY_MS}",
        "foreign_keys = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: a transaction that will write takes its turn at the start, never in the middle, where it
    # would have to be refused because another one wrote since it read.
    writing = connection.get_execution_options().get(_WRITING, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN DEFERRED")
