"""What `capabilities/sensing/migration.py` and `capabilities/acting/migration.py` promise."""

import asyncio

import pytest

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Conflict
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.model.support import Support
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import (
    EFFECT,
    Record,
    assert_explained,
    copies,
    present,
    proves,
)
from yamori.testing.conformance.moving import LIVE, runs
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.refused_moves import RefusedMovesContract
from yamori.testing.conformance.values import assert_ours

ROWS = (LIVE, "migration.encrypted", "migration.copied_storage")


class MigrationContract(RefusedMovesContract):
    """Moving a running VM: encrypted, and never two running copies. The fixtures are those of `Moving`."""

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        if session.acting.migration is None:
            for row in ROWS:
                assert_explained(support.cells[row], row)
        else:
            assert present(support, LIVE)
            assert present(support, "migration.encrypted"), "there is no plaintext variant"

    async def test_a_moved_vm_runs_at_the_destination_and_nowhere_else(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        eventually: Eventually,
        record_property: Record,
    ) -> None:
        proves(record_property, LIVE, EFFECT)
        proves(record_property, "migration.encrypted")
        if storage is StorageMode.COPIED:
            proves(record_property, "migration.copied_storage", EFFECT)
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=None, key="move-1")
        status = await self._finish(migration, vm, eventually)
        assert status.phase is MigrationPhase.SUCCEEDED, status
        assert status.encrypted is True
        assert status.error is None
        assert status.remaining_bytes in (0, None)

        async def arrived() -> bool:
            running = await copies(vm, session, destination)
            return len(running) == 1 and running[0].host == landing.host

        await eventually(arrived, "one copy runs, at the destination")
        assert (await destination.sensing.inventory.vm(vm)).state is PowerState.RUNNING

    async def test_at_no_moment_do_two_copies_run(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="move-2")
        ended = asyncio.ensure_future(migration.wait(vm))

        async def over() -> bool:
            # Destination first: if it runs there, it must have stopped here before.
            there = await runs(destination, vm)
            here = await runs(session, vm)
            assert not (there and here), "two copies of the VM ran at the same time"
            return ended.done()

        try:
            await eventually(over, "the move ended")
        finally:
            if not ended.done():
                await migration.cancel(vm)
        assert (await ended).phase is MigrationPhase.SUCCEEDED
        assert await runs(destination, vm)
        assert not await runs(session, vm)

    async def test_a_cancelled_move_leaves_the_vm_running_at_the_source(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="move-3")
        await migration.cancel(vm)
        status = await self._finish(migration, vm, eventually)
        assert status.phase is MigrationPhase.CANCELLED, status
        await migration.cancel(vm)
        await self._at_source_only(session, destination, vm)

    async def test_after_a_cancelled_move_a_new_one_succeeds(
        self,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="move-4")
        await migration.cancel(vm)
        await self._finish(migration, vm, eventually)
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=None, key="move-5")
        assert (await self._finish(migration, vm, eventually)).phase is MigrationPhase.SUCCEEDED

    async def test_cancelling_when_nothing_moves_changes_nothing(
        self, session: Session, destination: Session, migration: Migration, vm: VMId
    ) -> None:
        await migration.cancel(vm)
        await self._at_source_only(session, destination, vm)

    async def test_the_same_key_begins_a_move_once_and_another_one_is_a_conflict(
        self,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        try:
            for _ in range(2):
                await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="once")
            with pytest.raises(Conflict):
                await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="twice")
        finally:
            await migration.cancel(vm)
        assert (await self._finish(migration, vm, eventually)).phase is MigrationPhase.CANCELLED

    async def test_a_restarted_reader_finds_the_move(
        self,
        destination: Session,
        second: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        assert second.sensing.migration is not None
        assert await second.sensing.migration.status(vm) is None
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="found")
        try:
            watch = second.sensing.migration

            async def found() -> bool:
                status = await watch.status(vm)
                assert_ours(status, "status")
                return status is not None and status.phase is MigrationPhase.RUNNING

            await eventually(found, "another session found the move under way")
        finally:
            await migration.cancel(vm)
        await self._finish(migration, vm, eventually)

    async def test_progress_is_told_and_stays_within_bounds(
        self,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        vm: VMId,
        storage: StorageMode,
        slow_bytes_s: int,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=slow_bytes_s, key="progress")
        processed: list[int] = []

        async def moving() -> bool:
            status = await watch.status(vm)
            assert status is not None
            assert status.encrypted is not False
            if status.processed_bytes is not None:
                processed.append(status.processed_bytes)
            return len(set(processed)) >= 3 or status.phase is not MigrationPhase.RUNNING

        try:
            await eventually(moving, "progress was told")
        finally:
            await migration.cancel(vm)
        await self._finish(migration, vm, eventually)
        assert processed == sorted(processed)
        assert len(set(processed)) >= 2
