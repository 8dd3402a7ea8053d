"""Drivers that break one promise each: the healthy simulator behind a thin layer that lies or forgets."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import numpy as np

from yamori.capabilities.sensing.inventory import Listing
from yamori.capabilities.sensing.usage import COUNTERS, Column, UsageFrame
from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.simulator import SimulatorSession
from yamori.drivers.simulator.columns import State
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Conflict, Invalid, NotFound, Rejected, Unreachable, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.support import Cell, Level, Support
from yamori.model.vm import VM, PowerState


class Session:
    """A healthy session, parts of which a break replaces."""

    def __init__(self, healthy: SimulatorSession) -> None:
        self.healthy = healthy
        self.sensing: Sensing = healthy.sensing
        self.acting: Acting = healthy.acting

    def sense(self, **parts: Any) -> None:
        self.sensing = dataclasses.replace(self.sensing, **parts)

    def act(self, **parts: Any) -> None:
        self.acting = dataclasses.replace(self.acting, **parts)

    async def probe(self) -> Support:
        return await self.healthy.probe()

    async def close(self) -> None:
        await self.healthy.close()


class Layer:
    """Everything that a break does not touch goes to the healthy ability."""

    def __init__(self, session: Session, healthy: Any) -> None:
        self.session = session
        self.healthy = healthy
        self.world = session.healthy.world

    def __getattr__(self, name: str) -> Any:
        return getattr(self.healthy, name)


class VendorText(str):
    """A vendor's own string class."""

    __slots__ = ()


class VendorError(Exception):
    """What a vendor's library raises."""


# --- inventory ------------------------------------------------------------------------------------------------


class RaisesTheVendorsError(Layer):
    async def vm(self, vm: VMId) -> VM:
        try:
            return await self.healthy.vm(vm)
        except NotFound as error:
            raise VendorError("domain not found") from error


class SaysInvalidForNotFound(Layer):
    async def vm(self, vm: VMId) -> VM:
        try:
            return await self.healthy.vm(vm)
        except NotFound as error:
            raise Invalid("bad id") from error


class LeaksAVendorType(Layer):
    async def vm(self, vm: VMId) -> VM:
        found = await self.healthy.vm(vm)
        return dataclasses.replace(found, name=VendorText(found.name))


class LeaksAHandle(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        vms = tuple(dataclasses.replace(vm, labels={**vm.labels, "handle": self.world}) for vm in listing.vms)
        return dataclasses.replace(listing, vms=vms)


class ListsAVMTwice(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        return dataclasses.replace(listing, vms=listing.vms + listing.vms[:1])


class SaysZeroForUnknownSize(Layer):
    async def read(self) -> Listing:
        listing = await self.healthy.read()
        return dataclasses.replace(
            listing, hosts=tuple(dataclasses.replace(host, memory_bytes=0) for host in listing.hosts)
        )


# --- changes --------------------------------------------------------------------------------------------------


class ForgetsEveryThirdChange(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        number = 0
        async for change in self.healthy.watch():
            number += 1
            if number % 3:
                yield change


class TellsOutOfOrder(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        held: Change | None = None
        async for change in self.healthy.watch():
            if change.kind is ChangeKind.PAUSED and held is None:
                held = change
                continue
            yield change
            if held is not None:
                yield held
                held = None


class TellsOnlyTheFirstWatcher(Layer):
    watching = False

    async def watch(self) -> AsyncIterator[Change]:
        if self.watching:
            await asyncio.Event().wait()
        self.watching = True
        async for change in self.healthy.watch():
            yield change


class WatchesForEver(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        try:
            async for change in self.healthy.watch():
                yield change
        except Unreachable:
            await asyncio.Event().wait()


# --- usage ----------------------------------------------------------------------------------------------------


class CountersFall(Layer):
    reads = 0

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        self.reads += 1
        values = frame.values.copy()
        values[:, list(COUNTERS)] /= self.reads**3
        return dataclasses.replace(frame, values=values)


class SaysZeroForUnknown(Layer):
    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        values = frame.values.copy()
        values[:, Column.MEMORY_RESIDENT] = 0.0
        return dataclasses.replace(frame, values=values)


class CountsWhatItCannotKnow(Layer):
    """The probe says that CPU delay is not there, and yet its column holds a number."""

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        values = frame.values.copy()
        values[:, Column.CPU_DELAY] = 0.0
        return dataclasses.replace(frame, values=values)


class WritesIntoGivenFrames(Layer):
    last: UsageFrame | None = None

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        if self.last is None or self.last.vms != frame.vms:
            self.last = dataclasses.replace(frame, values=frame.values.copy())
        self.last.values[:] = frame.values
        return self.last


class ForgetsTheClock(Layer):
    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        return dataclasses.replace(frame, read_at=np.zeros_like(frame.read_at))


# --- power ----------------------------------------------------------------------------------------------------


class ForgetsIdempotence(Layer):
    async def pause(self, vm: VMId) -> None:
        if (await self.session.healthy.sensing.inventory.vm(vm)).state is PowerState.PAUSED:
            raise Conflict("already paused")
        await self.healthy.pause(vm)


class ResumesTheStopped(Layer):
    async def resume(self, vm: VMId) -> None:
        try:
            await self.healthy.resume(vm)
        except Conflict:
            await self.healthy.start(vm)


class IgnoresUnknownIds(Layer):
    async def start(self, vm: VMId) -> None:
        try:
            await self.healthy.start(vm)
        except NotFound:
            return


class PausesOnlyInWords(Layer):
    """The state reads as paused, but the guest goes on."""

    async def pause(self, vm: VMId) -> None:
        await self.healthy.pause(vm)
        row, world = self.world.row(vm), self.world

        def secretly_run(seconds: float, advance: Callable[[float], None] = world.advance) -> None:
            paused = world.columns.state[row] == State.PAUSED
            if paused:
                world.columns.counters[row, Column.CPU_TIME] += seconds
            advance(seconds)

        world.advance = secretly_run  # type: ignore[method-assign]


# --- limits ---------------------------------------------------------------------------------------------------


class ReadsFromMemory(Layer):
    """Reader and writer in one: what was set here is what is told."""

    def __init__(self, session: Session, healthy: Any) -> None:
        super().__init__(session, healthy)
        self.memory: dict[LimitKind, float | None] = {}

    async def read(self, vm: VMId) -> Limits:
        limits = await self.session.healthy.sensing.limits.read(vm)
        return dataclasses.replace(limits, values={**limits.values, **self.memory})

    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        await self.session.healthy.acting.limits.set(vm, limits)
        self.memory.update(limits)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        await self.session.healthy.acting.limits.pin(vm, cpus)


class ChangesBeforeItRefuses(Layer):
    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        refused: Exception | None = None
        for kind, value in limits.items():
            try:
                await self.healthy.set(vm, {kind: value})
            except (Unsupported, Invalid) as error:
                refused = error
        if refused is not None:
            raise refused


class LiftsWhatIsNotNamed(Layer):
    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        await self.healthy.set(vm, {**dict.fromkeys((LimitKind.CPU_CAP, LimitKind.DISK_IOPS)), **limits})


class TakesAnyNumber(Layer):
    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        sane = {k: v if v is None or v > 0 else 1.0 for k, v in limits.items()}
        await self.healthy.set(vm, sane)


class SwallowsTheUnsupported(Layer):
    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        try:
            await self.healthy.set(vm, limits)
        except Unsupported:
            return


class LimitsOnlyInWords(Layer):
    """The limit reads back as set, but does not bound what the guest does."""

    async def set(self, vm: VMId, limits: Mapping[LimitKind, float | None]) -> None:
        await self.healthy.set(vm, limits)
        row = self.world.row(vm)
        for kind in limits:
            self.world.columns.limit(kind)[row] = np.inf
        self.session.sense(limits=_Told(self.session, self.session.healthy.sensing.limits, dict(limits)))


class _Told(Layer):
    def __init__(self, session: Session, healthy: Any, told: Mapping[LimitKind, float | None]) -> None:
        super().__init__(session, healthy)
        self.told = told

    async def read(self, vm: VMId) -> Limits:
        limits = await self.healthy.read(vm)
        return dataclasses.replace(limits, values={**limits.values, **self.told})


class PinsNothing(Layer):
    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        del cpus
        await self.healthy.pin(vm, None)


# --- migration ------------------------------------------------------------------------------------------------


class LeavesTwoCopies(Layer):
    """The source goes on showing the VM as running after it was moved."""

    async def start(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None, key: str
    ) -> None:
        ghost = await self.session.healthy.sensing.inventory.vm(vm)
        await self.healthy.start(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key)
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
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None, key: str
    ) -> None:
        self.number += 1
        key = f"{key}-{self.number}"
        await self.healthy.start(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key)


class MovesInPlaintext(Layer):
    async def wait(self, vm: VMId) -> MigrationStatus:
        return dataclasses.replace(await self.healthy.wait(vm), encrypted=False)


class RemembersOnlyItsOwnMoves(Layer):
    async def status(self, vm: VMId) -> MigrationStatus | None:
        del vm


class LandsWithStrangers(Layer):
    async def start(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None, key: str
    ) -> None:
        landing = dataclasses.replace(landing, family="simulator")
        await self.healthy.start(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key)


class FailsInsteadOfConflict(Layer):
    async def landing(self, vm: VMId) -> Landing:
        try:
            landing: Landing = await self.healthy.landing(vm)
        except Conflict as error:
            raise Rejected("operation failed") from error
        return landing


# --- the session ----------------------------------------------------------------------------------------------


class ClaimsWhatIsNotThere(Session):
    async def probe(self) -> Support:
        support = await self.healthy.probe()
        return dataclasses.replace(support, cells={**support.cells, "limits.net_in": Cell(level=Level.NATIVE)})


class DeniesWhatIsThere(Session):
    async def probe(self) -> Support:
        support = await self.healthy.probe()
        denied = Cell(level=Level.NONE, reason="cannot")
        return dataclasses.replace(support, cells={**support.cells, "power": denied})


class GivesNoReason(Session):
    async def probe(self) -> Support:
        support = await self.healthy.probe()
        return dataclasses.replace(support, cells={**support.cells, "limits.net_in": Cell(level=Level.NONE)})


class LeavesAFeatureOut(Session):
    async def probe(self) -> Support:
        support = await self.healthy.probe()
        return dataclasses.replace(support, cells={k: v for k, v in support.cells.items() if k != "usage"})


class ProbesByTrying(Session):
    async def probe(self) -> Support:
        world = self.healthy.world
        vm = world.vms("host-0")[0]
        cap = world.columns.cpu_cap[world.row(vm)]
        world.limit(vm, {LimitKind.CPU_CAP: 1.0 if np.isinf(cap) else float(cap) + 1.0})
        return await self.healthy.probe()


class Unfinished:
    """What a driver must never have in place of None."""

    async def read(self) -> UsageFrame:
        raise RuntimeError("not there yet")


class HasAnEmptyShellForAbsence(Session):
    def __init__(self, healthy: SimulatorSession) -> None:
        super().__init__(healthy)
        self.sense(usage=Unfinished())


class NeverCloses(Session):
    async def close(self) -> None:
        return
