"""Power that breaks one promise each."""

from collections.abc import Callable

from tests.testing.broken.layer import Layer
from yamori.capabilities.sensing.usage import Column
from yamori.drivers.simulator.columns import State
from yamori.model.errors import Conflict, NotFound
from yamori.model.ids import VMId
from yamori.model.vm import PowerState


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
