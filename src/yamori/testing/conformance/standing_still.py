"""What the capability `migration` promises of VMs that cannot move live: they move only where that is allowed."""

from typing import ClassVar

import pytest

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Unsupported
from yamori.model.ids import VMId
from yamori.model.migration import StorageMode
from yamori.testing.conformance.contract import API
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.moving import ENCRYPTED, LIVE

SLOW_BYTES_S = 1_000_000


class StandingStillContract(MigrationContract):
    """All that is promised of moves, for a ``vm`` that stands still while it is sent; one more class.

    It says nothing of live moves: what it proves is that such a VM too is moved encrypted.
    """

    feature: ClassVar[str] = ENCRYPTED
    proof: ClassVar[str] = API
    live: ClassVar[bool] = False

    async def test_a_vm_that_would_stand_still_is_not_moved_unless_that_is_allowed(
        self,
        session: Session,
        destination: Session,
        migration: Migration,
        watch: MigrationWatch,
        vm: VMId,
        storage: StorageMode,
    ) -> None:
        landing = await self._landing(destination, vm)
        with pytest.raises(Unsupported) as refused:
            await migration.start(vm, landing, storage=storage, bandwidth_bytes_s=None, key="not-allowed")
        assert refused.value.capability == LIVE
        assert refused.value.why.strip()
        assert await watch.status(vm) is None
        await self._at_source_only(session, destination, vm)

    async def test_a_forecast_that_is_not_live_says_why(
        self, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode
    ) -> None:
        assert (await self._forecast(destination, watch, vm, storage)).why.strip()

    async def test_less_bandwidth_is_not_forecast_to_take_less_time(
        self, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode
    ) -> None:
        free = (await self._forecast(destination, watch, vm, storage)).downtime_s
        slow = (await self._forecast(destination, watch, vm, storage, SLOW_BYTES_S)).downtime_s
        if free is None or slow is None:
            pytest.skip("nobody can tell how long it stands still")
        assert slow >= free
