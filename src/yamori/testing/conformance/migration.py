"""What `capabilities/sensing/migration.py` and `capabilities/acting/migration.py` promise."""

import asyncio

import pytest

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase, StorageMode
from yamori.model.support import Support
from yamori.model.vm import PowerState
from yamori.testing.conformance.cancelled_moves import CancelledMovesContract
from yamori.testing.conformance.contract import (
    EFFECT,
    Record,
    assert_explained,
    copies,
    need,
    present,
    proves,
)
from yamori.testing.conformance.forecasts import ForecastContract
from yamori.testing.conformance.moving import BANDWIDTH, CANCEL, COPIED, ENCRYPTED, LIVE, over_too_soon, runs
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.refused_moves import RefusedMovesContract
from yamori.testing.conformance.values import assert_ours

ROWS = (LIVE, ENCRYPTED, COPIED, CANCEL, BANDWIDTH)
LOOKS = 6
"""So many polls a bounded move is looked at."""
JITTER = 3.0
"""A bound counts as kept while no more than this times it was sent: memory and disks may be bounded each."""


class MigrationContract(RefusedMovesContract, CancelledMovesContract, ForecastContract):
    """Moving a running VM: encrypted, and never two running copies. The fixtures are those of `Moving`."""

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        if session.acting.migration is None:
            for row in ROWS:
                assert_explained(support.cells[row], row)
        else:
            assert present(support, LIVE)
            assert present(support, ENCRYPTED), "there is no plaintext variant"

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
        if self.live:
            proves(record_property, LIVE, EFFECT)
        proves(record_property, ENCRYPTED)
        if storage is StorageMode.COPIED:
            proves(record_property, COPIED, EFFECT)
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="move-1")
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
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="move-2", pace=pace)
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
                ended.cancel()
                await self._end(migration, vm, support, eventually)
        assert (await ended).phase is MigrationPhase.SUCCEEDED
        assert await runs(destination, vm)
        assert not await runs(session, vm)

    async def test_the_same_key_begins_a_move_once_and_another_one_is_a_conflict(
        self,
        destination: Session,
        migration: Migration,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        for _ in range(2):
            await self._start(migration, vm, landing, storage=storage, key="once", pace=pace)
        try:
            await self._start(migration, vm, landing, storage=storage, key="twice", pace=pace)
        except Conflict:
            second_was_refused = True
        except NotFound:
            second_was_refused = False  # it has left already
        else:
            pytest.fail("a second move began while the first was under way")
        finally:
            status = await self._end(migration, vm, support, eventually)
        if not second_was_refused:
            over_too_soon(pace, "a second one was asked for")
        if pace is not None and present(support, CANCEL):
            assert status.phase is MigrationPhase.CANCELLED

    async def test_a_restarted_reader_finds_the_move(
        self,
        destination: Session,
        second: Session,
        migration: Migration,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
    ) -> None:
        assert second.sensing.migration is not None
        assert await second.sensing.migration.status(vm) is None
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="found", pace=pace)
        watch = second.sensing.migration
        ended = asyncio.ensure_future(migration.wait(vm))
        seen = False

        async def found() -> bool:
            nonlocal seen
            status = await watch.status(vm)
            assert_ours(status, "status")
            seen = status is not None and status.phase is MigrationPhase.RUNNING
            return seen or ended.done()

        try:
            await eventually(found, "another session found the move under way")
        finally:
            ended.cancel()
            await self._end(migration, vm, support, eventually)
        if not seen:
            over_too_soon(pace, "another session looked")

    async def test_progress_is_told_and_stays_within_bounds(
        self,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        pace: int | None,
        eventually: Eventually,
    ) -> None:
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="progress", pace=pace)
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
            await self._end(migration, vm, support, eventually)
        assert processed == sorted(processed)
        if pace is None and len(set(processed)) < 2:
            pytest.skip(
                "nobody tells how many bytes of a move are sent, or it was over too soon; it cannot be slowed"
            )
        assert len(set(processed)) >= 2

    async def test_a_bandwidth_bounds_what_a_move_sends(
        self,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        support: Support,
        vm: VMId,
        storage: StorageMode,
        eventually: Eventually,
        record_property: Record,
        pace: int | None,
    ) -> None:
        need(support, BANDWIDTH)
        proves(record_property, BANDWIDTH, EFFECT)
        assert pace is not None
        loop = asyncio.get_running_loop()
        began, looks, sent = loop.time(), 0, 0
        landing = await self._landing(destination, vm)
        await self._start(migration, vm, landing, storage=storage, key="bounded", pace=pace)

        async def looked_at() -> bool:
            nonlocal looks, sent
            status = await watch.status(vm)
            assert status is not None
            assert status.phase is MigrationPhase.RUNNING, f"a move at {pace} B/s was over after {looks} looks"
            looks += 1
            sent = max(sent, status.processed_bytes or 0)
            return looks >= LOOKS

        try:
            await eventually(looked_at, "the move was looked at")
            seconds = max(loop.time() - began, looks * eventually.pause_s)
        finally:
            await self._end(migration, vm, support, eventually)
        assert 0 < sent <= JITTER * pace * seconds
