"""What the capability `migration` promises of a move that fails in the middle: one running copy, at the source."""

from collections.abc import Awaitable, Callable

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.session import Session
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.moving import over_too_soon
from yamori.testing.conformance.patience import Eventually


class BrokenMoveContract(MigrationContract):
    """What a failure in the middle leaves. Further fixture: ``break_move``, called while the move is under way."""

    async def test_a_move_that_fails_in_the_middle_leaves_one_running_copy(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        break_move: Callable[[], Awaitable[None]],
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="broken", pace=pace)
        await eventually.moment()
        await break_move()
        status = await self._finish(migration, vm, eventually)
        if pace is None and status.phase is MigrationPhase.SUCCEEDED:
            over_too_soon(pace, "it was broken")
        assert status.phase is MigrationPhase.FAILED, status
        assert status.error
        await self._at_source_only(session, destination, vm)
