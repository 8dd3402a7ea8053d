"""What the capability `migration` promises of moves that are stopped, and of those that cannot be."""

import pytest

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Unsupported
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.model.support import Support
from yamori.testing.conformance.contract import EFFECT, Record, need, present, proves
from yamori.testing.conformance.moving import CANCEL, Moving, over_too_soon, runs
from yamori.testing.conformance.patience import Eventually


class CancelledMovesContract(Moving):
    """A move that is stopped leaves the VM at the source. One that cannot be stopped goes on, and that is said."""

    async def test_a_cancelled_move_leaves_the_vm_running_at_the_source(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
        record_property: Record,
    ) -> None:
        need(support, CANCEL)
        proves(record_property, CANCEL, EFFECT)
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="move-3", pace=pace)
        await self._cancelled(migration, vm, pace, eventually)
        await migration.cancel(vm)
        await self._at_source_only(session, destination, vm)

    async def test_after_a_cancelled_move_a_new_one_succeeds(
        self,
        destination: Session,
        migration: Migration,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
        record_property: Record,
    ) -> None:
        need(support, CANCEL)
        proves(record_property, CANCEL, EFFECT)
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="move-4", pace=pace)
        await self._cancelled(migration, vm, pace, eventually)
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="move-5")
        assert (await self._finish(migration, vm, eventually)).phase is MigrationPhase.SUCCEEDED

    async def test_where_a_move_cannot_be_cancelled_that_is_said_and_it_goes_on(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
    ) -> None:
        if present(support, CANCEL):
            pytest.skip("moves can be cancelled here")
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="not-stopped", pace=pace)
        try:
            await migration.cancel(vm)
        except Unsupported as refused:
            assert refused.capability == CANCEL
            assert refused.why.strip()
        else:
            status = await watch.status(vm)
            assert status is not None
            assert status.phase is not MigrationPhase.RUNNING, "it goes on, and that was not said"
            assert status.phase is MigrationPhase.SUCCEEDED, "a move was stopped that cannot be, as is claimed"
            over_too_soon(pace, "it was cancelled")
        assert (await self._finish(migration, vm, eventually)).phase is MigrationPhase.SUCCEEDED
        assert await runs(destination, vm)
        assert not await runs(session, vm)
        await migration.cancel(vm)

    async def test_cancelling_when_nothing_moves_changes_nothing(
        self, session: Session, destination: Session, migration: Migration, vm: VMId
    ) -> None:
        await migration.cancel(vm)
        await self._at_source_only(session, destination, vm)

    async def _cancelled(self, migration: Migration, vm: VMId, pace: int | None, eventually: Eventually) -> None:
        await migration.cancel(vm)
        status = await self._finish(migration, vm, eventually)
        if pace is None and status.phase is MigrationPhase.SUCCEEDED:
            over_too_soon(pace, "it was cancelled")
        assert status.phase is MigrationPhase.CANCELLED, status
