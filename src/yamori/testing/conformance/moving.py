"""What all tests of moves share: the two sides, and the questions that are asked of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import pytest_asyncio

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import NotFound
from yamori.model.ids import VMId
from yamori.model.migration import Landing, MigrationStatus, StorageMode
from yamori.model.support import Support
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import (
    EFFECT,
    Contract,
    copies,
    need,
    present,
)
from yamori.testing.conformance.patience import Eventually

LIVE, ENCRYPTED, COPIED = "migration.live", "migration.encrypted", "migration.copied_storage"
CANCEL, BANDWIDTH = "migration.cancel", "migration.bandwidth"


class Moving(Contract):
    """Moving a running VM: encrypted, and never two running copies.

    Further fixtures: ``destination`` (a session to another host of the same family), ``second`` (another
    session to the source), ``storage`` (the mode that fits the VM's disks) and, where moves can be bounded,
    ``slow_bytes_s`` (a bandwidth at which the move takes several polls). ``live`` says how the VM moves.
    """

    feature: ClassVar[str] = LIVE
    proof: ClassVar[str] = EFFECT
    live: ClassVar[bool] = True
    """False: ``vm`` is one that stands still while it is sent."""

    @pytest_asyncio.fixture
    async def migration(self, session: Session, support: Support) -> AsyncIterator[Migration]:
        """The acting side, where it is."""
        need(support, LIVE)
        assert session.acting.migration is not None, "migration is claimed but the session does not have it"
        yield session.acting.migration

    @pytest_asyncio.fixture
    async def watch(self, session: Session, migration: Migration) -> MigrationWatch:
        """The sensing side."""
        assert session.sensing.migration is not None, "a move that can be begun can be watched"
        return session.sensing.migration

    @pytest.fixture
    def pace(self, request: pytest.FixtureRequest, support: Support) -> int | None:
        """A bandwidth at which a move takes several polls; None where it cannot be bounded, and is fast or not."""
        if not present(support, BANDWIDTH):
            return None
        slow: int = request.getfixturevalue("slow_bytes_s")
        return slow

    async def _landing(self, destination: Session, vm: VMId) -> Landing:
        assert destination.acting.migration is not None
        hosts = (await destination.sensing.inventory.read()).hosts
        return await destination.acting.migration.landing(vm, hosts[0].id)

    async def _start(
        self,
        migration: Migration,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        key: str,
        pace: int | None = None,
    ) -> None:
        """Begin a move, with leave to stop the VM only where it needs that."""
        await migration.start(
            vm, landing, storage=storage, bandwidth_bytes_s=pace, key=key, stopping=not self.live
        )

    async def _finish(self, migration: Migration, vm: VMId, eventually: Eventually) -> MigrationStatus:
        return await eventually.done(asyncio.ensure_future(migration.wait(vm)), "the move ended")

    async def _end(
        self, migration: Migration, vm: VMId, support: Support, eventually: Eventually
    ) -> MigrationStatus:
        """Stop a move where that can be done, and wait for its end."""
        if present(support, CANCEL):
            await migration.cancel(vm)
        return await self._finish(migration, vm, eventually)

    async def _at_source_only(self, session: Session, destination: Session, vm: VMId) -> None:
        running = await copies(vm, session, destination)
        assert len(running) == 1, f"there must be one running copy, not {len(running)}"
        assert (await session.sensing.inventory.vm(vm)).state is PowerState.RUNNING


async def runs(session: Session, vm: VMId) -> bool:
    """Say whether a copy of the VM runs at this endpoint."""
    try:
        return (await session.sensing.inventory.vm(vm)).state is PowerState.RUNNING
    except NotFound:
        return False


def over_too_soon(pace: int | None, what: str) -> None:
    """End a test whose move was over before ``what``: skipped, unless the move was bounded so as not to be."""
    assert pace is None, f"a move at {pace} B/s was over before {what}"
    pytest.skip(f"too soon: the move was over before {what}, and moves cannot be slowed here")
