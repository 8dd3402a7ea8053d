"""What the capability `migration` promises of moves that cannot be."""

import dataclasses

import pytest

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Conflict, Invalid, NotFound, Refused, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import StorageMode
from yamori.model.support import Support
from yamori.testing.conformance.contract import (
    UNKNOWN_IDS,
    need,
    present,
)
from yamori.testing.conformance.moving import BANDWIDTH, Moving

PLENTY_BYTES_S = 1 << 30


class RefusedMovesContract(Moving):
    """Moves that make no sense are refused, and nothing has changed."""

    async def test_a_landing_of_another_family_is_invalid(
        self, session: Session, destination: Session, migration: Migration, vm: VMId, storage: StorageMode
    ) -> None:
        landing = dataclasses.replace(await self._landing(destination, vm), family="another")
        with pytest.raises(Invalid):
            await self._start(migration, vm, landing, storage=storage, key="family")
        await self._at_source_only(session, destination, vm)

    async def test_a_landing_on_the_same_host_is_invalid(
        self, session: Session, destination: Session, migration: Migration, vm: VMId, storage: StorageMode
    ) -> None:
        there = [each.id for each in (await destination.sensing.inventory.read()).vms if each.id != vm]
        if not there:
            pytest.skip("no VM at the destination that the source could offer a landing to")
        landing = await self._landing(session, there[0])
        with pytest.raises(Invalid):
            await self._start(migration, vm, landing, storage=storage, key="same")
        await self._at_source_only(session, destination, vm)

    async def test_there_is_no_landing_where_the_vm_runs_already(
        self, session: Session, migration: Migration, vm: VMId
    ) -> None:
        host = (await session.sensing.inventory.vm(vm)).host
        assert host is not None
        with pytest.raises(Conflict):
            await migration.landing(vm, host)

    async def test_there_is_no_landing_on_a_host_of_somebody_else(self, migration: Migration, vm: VMId) -> None:
        with pytest.raises(Invalid):
            await migration.landing(vm, HostId("no-such-host"))

    @pytest.mark.parametrize("bandwidth", [0, -1])
    async def test_a_bandwidth_without_sense_is_invalid(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        vm: VMId,
        storage: StorageMode,
        bandwidth: int,
    ) -> None:
        landing = await self._landing(destination, vm)
        with pytest.raises(Invalid):
            await self._start(migration, vm, landing, storage=storage, key="bandwidth", pace=bandwidth)
        await self._at_source_only(session, destination, vm)

    async def test_a_bandwidth_that_cannot_be_kept_is_refused(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        support: Support,
        vm: VMId,
        storage: StorageMode,
    ) -> None:
        if present(support, BANDWIDTH):
            pytest.skip("moves can be bounded here")
        landing = await self._landing(destination, vm)
        with pytest.raises(Unsupported) as refused:
            await self._start(migration, vm, landing, storage=storage, key="bounded", pace=PLENTY_BYTES_S)
        assert refused.value.capability == BANDWIDTH
        assert refused.value.why.strip()
        assert await watch.status(vm) is None
        await self._at_source_only(session, destination, vm)

    async def test_a_stopped_vm_cannot_be_moved(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        support: Support,
        vm: VMId,
        storage: StorageMode,
    ) -> None:
        need(support, "power")
        assert session.acting.power is not None
        landing = await self._landing(destination, vm)
        await session.acting.power.stop(vm, force=True)
        with pytest.raises(Refused):
            await self._start(migration, vm, landing, storage=storage, key="stopped")

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_an_id_that_no_vm_has_is_not_found(
        self, destination: Session, migration: Migration, vm: VMId, storage: StorageMode, unknown: str
    ) -> None:
        landing = await self._landing(destination, vm)
        with pytest.raises(NotFound):
            await self._start(migration, VMId(unknown), landing, storage=storage, key="unknown")
        with pytest.raises(NotFound):
            await migration.wait(VMId(unknown))
        with pytest.raises(NotFound):
            await migration.cancel(VMId(unknown))
