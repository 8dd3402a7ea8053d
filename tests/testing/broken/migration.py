"""Moves that break one promise each."""

import contextlib
import dataclasses
from typing import Any

from tests.testing.broken.layer import Layer, Session
from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import Conflict, Rejected, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.vm import VM


class LeavesTwoCopies(Layer):
    """The source goes on showing the VM as running after it was moved."""

    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        **more: Any,
    ) -> None:
        ghost = await self.session.healthy.sensing.inventory.vm(vm)
        await self.healthy.start(
            vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key, **more
        )
        self.session.sense(inventory=_Ghost(self.session, self.session.healthy.sensing.inventory, ghost))


class _Ghost(Layer):
    def __init__(self, session: Session, healthy: Any, ghost: VM) -> None:
        super().__init__(session, healthy)
        self.ghost = ghost

    async def read(self) -> Listing:
        listing = await self.healthy.read()
        others = tuple(vm for vm in listing.vms if vm.id != self.ghost.id)
        return dataclasses.replace(listing, vms=(*others, self.ghost))

    async def vm(self, vm: VMId) -> VM:
        return self.ghost if vm == self.ghost.id else await self.healthy.vm(vm)


class CancelStopsTheVM(Layer):
    async def cancel(self, vm: VMId) -> None:
        await self.healthy.cancel(vm)
        await self.session.healthy.acting.power.stop(vm, force=True)


class FailureStopsTheVM(Layer):
    async def wait(self, vm: VMId) -> MigrationStatus:
        status = await self.healthy.wait(vm)
        if status.phase is MigrationPhase.FAILED:
            await self.session.healthy.acting.power.stop(vm, force=True)
        return status


class IgnoresTheKey(Layer):
    number = 0

    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        **more: Any,
    ) -> None:
        self.number += 1
        key = f"{key}-{self.number}"
        await self.healthy.start(
            vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key, **more
        )


class MovesInPlaintext(Layer):
    async def wait(self, vm: VMId) -> MigrationStatus:
        return dataclasses.replace(await self.healthy.wait(vm), encrypted=False)


class RemembersOnlyItsOwnMoves(Layer):
    async def status(self, vm: VMId) -> MigrationStatus | None:
        del vm


class LandsWithStrangers(Layer):
    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        **more: Any,
    ) -> None:
        landing = dataclasses.replace(landing, family="simulator")
        await self.healthy.start(
            vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key, **more
        )


class IgnoresTheBandwidth(Layer):
    async def start(self, vm: VMId, landing: Landing, *, bandwidth_bytes_s: int | None, **more: Any) -> None:
        del bandwidth_bytes_s
        await self.healthy.start(vm, landing, bandwidth_bytes_s=None, **more)


class CancelsOnlyInWords(Layer):
    """Where a move cannot be stopped it says nothing of that."""

    async def cancel(self, vm: VMId) -> None:
        with contextlib.suppress(Unsupported):
            await self.healthy.cancel(vm)


class NamesTheWrongRow(Layer):
    """Where a move cannot be stopped it says something else than that."""

    async def cancel(self, vm: VMId) -> None:
        try:
            await self.healthy.cancel(vm)
        except Unsupported as error:
            raise Unsupported("migration.live", error.why) from error


class StopsTheVMWithoutLeave(Layer):
    async def start(self, vm: VMId, landing: Landing, *, stopping: bool = False, **more: Any) -> None:
        del stopping
        await self.healthy.start(vm, landing, stopping=True, **more)


class NeverTakesLeaveToStop(Layer):
    async def start(self, vm: VMId, landing: Landing, *, stopping: bool = False, **more: Any) -> None:
        del stopping
        await self.healthy.start(vm, landing, stopping=False, **more)


class ForecastsAllToBeLive(Layer):
    async def forecast(self, *asked: Any, **more: Any) -> Forecast:
        return dataclasses.replace(await self.healthy.forecast(*asked, **more), live=True)


class ForecastsNoneToBeLive(Layer):
    async def forecast(self, *asked: Any, **more: Any) -> Forecast:
        return dataclasses.replace(await self.healthy.forecast(*asked, **more), live=False)


class ForecastsWithoutAReason(Layer):
    async def forecast(self, *asked: Any, **more: Any) -> Forecast:
        return dataclasses.replace(await self.healthy.forecast(*asked, **more), why="")


class ForecastsByTrying(Layer):
    async def forecast(self, vm: VMId, landing: Landing, **more: Any) -> Forecast:
        forecast: Forecast = await self.healthy.forecast(vm, landing, **more)
        mover = self.session.healthy.acting.migration
        await mover.start(vm, landing, key="try", stopping=True, **more)
        return forecast


class FailsInsteadOfConflict(Layer):
    async def landing(self, vm: VMId, host: HostId) -> Landing:
        try:
            landing: Landing = await self.healthy.landing(vm, host)
        except Conflict as error:
            raise Rejected("operation failed") from error
        return landing
