"""Sessions and probes that break one promise each."""

import dataclasses

import numpy as np

from tests.testing.broken.layer import Session
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.drivers.simulator import SimulatorSession
from yamori.model.limits import LimitKind
from yamori.model.support import Cell, Level, Support


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
