"""Opens what must survive a restart: one directory, private to its owner."""

import asyncio
import fcntl
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, Connection, inspect, make_url

from yamori.model.errors import Conflict, Failed, Untrusted
from yamori.store.agents import StoredAgents
from yamori.store.database import Database
from yamori.store.findings import StoredFindings
from yamori.store.holds import StoredHolds
from yamori.store.journal import StoredJournal
from yamori.store.leases import StoredLeases
from yamori.store.ledger import StoredLedger
from yamori.store.recording import Bounds, DiskRecorder
from yamori.store.rulings import StoredRulings
from yamori.store.schema import upgrade
from yamori.store.tables import LEDGER_HEAD
from yamori.trust.private_file import keep_private
from yamori.workflow.clock import Clock, SystemClock

DATABASE = "yamori.db"
LEDGER_KEY = "ledger-key"
KEY_BYTES = 32
IDENTITY = "identity"
LOCK = "lock"
RECORDINGS = "recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All that is kept, behind the interfaces of those who need it."""

    state_dir: Path
    journal: StoredJournal
    leases: StoredLeases
    ledger: StoredLedger
    findings: StoredFindings
    rulings: StoredRulings
    holds: StoredHolds
    agents: StoredAgents
    recorder: DiskRecorder
    _database: Database
    _locks: list[int] = field(default_factory=list)

    def claim(self) -> str:
        """Become the one controller of this state directory, until ``close`` or the end of the process.

        Returns the identity to give to the engine as ``owner``: the same after a restart. Raises Conflict
        while another process is the controller.
        """
        lock = os.open(self.state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise Conflict(
                f"another Yamori (process {holder or 'unknown'}) runs with this state directory",
                subject=str(self.state_dir),
                mend="stop it, or give each its own directory",
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._locks.append(lock)
        return keep_private(self.state_dir / IDENTITY, lambda: f"controller-{secrets.token_hex(8)}")

    async def close(self) -> None:
        """Finish what is being written and let go. Idempotent."""
        await self.recorder.close()
        await self._database.close()
        while self._locks:
            os.close(self._locks.pop())


async def open_store(
    state_dir: Path,
    *,
    clock: Clock | None = None,
    recording: Bounds | None = None,
    url: str | None = None,
) -> Store:
    """Open the store of a state directory, making it when there is none and bringing its tables up to date.

    ``url`` names another database than the SQLite file in the directory. Raises Untrusted when others can get
    at the directory or the ledger's key, Conflict for a database of a later version, Busy, Failed.
    """
    key = await asyncio.to_thread(_prepare, state_dir)
    database = Database(URL.create("sqlite", database=str(state_dir / DATABASE)) if url is None else make_url(url))
    time = clock or SystemClock()
    ledger = StoredLedger(database, key, time)
    holds = StoredHolds(database)

    def begin(connection: Connection) -> None:
        fresh = not inspect(connection).has_table(LEDGER_HEAD.name)
        upgrade(connection)
        if fresh:
            ledger.begin(connection)
        holds.load(connection)

    try:
        await database.write(begin)
    except BaseException:
        await database.close()
        raise
    return Store(
        state_dir=state_dir,
        journal=StoredJournal(database, ledger, holds),
        leases=StoredLeases(database, time),
        ledger=ledger,
        findings=StoredFindings(database, ledger),
        rulings=StoredRulings(database, ledger),
        holds=holds,
        agents=StoredAgents(database, ledger, time),
        recorder=DiskRecorder(state_dir / RECORDINGS, recording or Bounds()),
        _database=database,
    )


def _prepare(state_dir: Path) -> bytes:
    """Make the directory and the ledger's key, or look at whose they are. Returns the key."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = state_dir.stat()
        if found.st_uid != os.geteuid():
            raise Untrusted(f"belongs to user {found.st_uid}, not to {os.geteuid()}", subject=str(state_dir))
        if found.st_mode & 0o077:
            raise Untrusted(
                f"others can get at it (mode {stat.S_IMODE(found.st_mode):04o})",
                subject=str(state_dir),
                mend=f"chmod 700 {state_dir}",
            )
        (state_dir / DATABASE).touch(mode=0o600)
    except OSError as error:
        raise Failed(f"cannot be used as state directory: {error.strerror}", subject=str(state_dir)) from error
    kept = keep_private(state_dir / LEDGER_KEY, lambda: secrets.token_hex(KEY_BYTES))
    try:
        key = bytes.fromhex(kept)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Untrusted("does not hold the ledger's key", subject=str(state_dir / LEDGER_KEY))
    return key
