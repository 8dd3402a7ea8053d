"""What the capability `migration` promises of what it tells before a move."""

import dataclasses
import math

import pytest

from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.capabilities.session import Session
from yamori.model.errors import Invalid, NotFound
from yamori.model.ids import VMId
from yamori.model.migration import Forecast, StorageMode
from yamori.testing.conformance.contract import API, UNKNOWN_IDS, Record, proves
from yamori.testing.conformance.moving import ENCRYPTED, LIVE, Moving
from yamori.testing.conformance.values import assert_ours


class ForecastContract(Moving):
    """A forecast says whether the VM stands still, and for how long as far as anybody can tell."""

    async def test_the_forecast_says_whether_the_vm_moves_live(
        self,
        destination: Session,
        watch: MigrationWatch,
        vm: VMId,
        storage: StorageMode,
        record_property: Record,
    ) -> None:
        proves(record_property, LIVE if self.live else ENCRYPTED, API)
        forecast = await self._forecast(destination, watch, vm, storage)
        assert forecast.live is self.live, forecast
        assert_ours(forecast, "forecast")
        seconds = forecast.downtime_s
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
        assert forecast.why.isprintable()

    async def test_a_forecast_changes_nothing(
        self, session: Session, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode
    ) -> None:
        first = await self._forecast(destination, watch, vm, storage)
        again = await self._forecast(destination, watch, vm, storage)
        assert again.live is first.live
        assert await watch.status(vm) is None, "a forecast began a move"
        await self._at_source_only(session, destination, vm)

    async def test_there_is_no_forecast_for_a_landing_of_another_family(
        self, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode
    ) -> None:
        landing = dataclasses.replace(await self._landing(destination, vm), family="another")
        with pytest.raises(Invalid):
            await watch.forecast(vm, landing, storage=storage, bandwidth_bytes_s=None)

    @pytest.mark.parametrize("bandwidth", [0, -1])
    async def test_there_is_no_forecast_for_a_bandwidth_without_sense(
        self, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode, bandwidth: int
    ) -> None:
        landing = await self._landing(destination, vm)
        with pytest.raises(Invalid):
            await watch.forecast(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth)

    @pytest.mark.parametrize("unknown", UNKNOWN_IDS, ids=range(len(UNKNOWN_IDS)))
    async def test_there_is_no_forecast_for_an_id_that_no_vm_has(
        self, destination: Session, watch: MigrationWatch, vm: VMId, storage: StorageMode, unknown: str
    ) -> None:
        landing = await self._landing(destination, vm)
        with pytest.raises(NotFound):
            await watch.forecast(VMId(unknown), landing, storage=storage, bandwidth_bytes_s=None)

    async def _forecast(
        self,
        destination: Session,
        watch: MigrationWatch,
        vm: VMId,
        storage: StorageMode,
        bandwidth_bytes_s: int | None = None,
    ) -> Forecast:
        landing = await self._landing(destination, vm)
        return await watch.forecast(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s)
