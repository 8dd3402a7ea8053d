"""The session of one host, as its own agent sees it: put together from the functions that are switched on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from yamori.agent.functions.bounds import Bounds
from yamori.agent.functions.carrying import Way, carrying
from yamori.agent.functions.limits import NO_PINNING, HostLimits
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.lapse import LapseNote, LapsingLimits
from yamori.capabilities.sensing.inventory import Inventory
from yamori.capabilities.sensing.usage import Usage
from yamori.capabilities.session import Acting, Sensing
from yamori.model.limits import LimitKind
from yamori.model.support import FEATURES, Cell, Level, Support

_log = logging.getLogger(__name__)

_NOT_OURS = "the agent leaves this to the hypervisor's own interface"
_OFF = "switched off in the agent's settings"
_LATER = "it has become possible since the agent was started; restart the agent"
_TICK_S = 1.0
_FUNCTION_OF = {
    LimitKind.CPU_CAP: Function.CPU,
    LimitKind.CPU_WEIGHT: Function.CPU,
    LimitKind.DISK_IOPS: Function.DISK,
    LimitKind.DISK_BANDWIDTH: Function.DISK,
    LimitKind.NET_IN: Function.NET,
    LimitKind.NET_OUT: Function.NET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one hypervisor's side of the agent is made of."""

    hypervisor: str
    inventory: Inventory
    bounds: Sequence[Bounds]
    usage: Usage | None
    usage_cells: Callable[[], Mapping[str, Cell]]
    """Cells of usage and its parts, as far as they are not simply absent."""
    tend: Callable[[], None]
    """Blocking; called every second: what must be done again and again."""
    close: Callable[[], Awaitable[None]]
    """Lets go of everything."""
    needs_way: bool = False
    """Whether the agent must carry the memory of moving VMs, because the hypervisor sends it in plaintext."""


class HostSession:
    """A Session for one host, with limits that end by themselves."""

    def __init__(
        self,
        settings: HostSettings,
        parts: Parts,
        thread: ThreadPoolExecutor,
        tell: Callable[[LapseNote], None],
        way: Way | None = None,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._thread = thread
        self._limits = HostLimits(parts.inventory, parts.bounds, self._why_not, thread)
        self._lapsing = LapsingLimits(
            self._limits,
            self._limits,
            Path(settings.state_dir) / "lapses.json",
            runs=self._limits.runs,
            tell=tell,
        )
        self._loops: list[asyncio.Task[None]] = []
        self._bounded = bool(parts.bounds)
        self._carrying = carrying(settings, way, self._limits.runs, needed=parts.needs_way)
        carrier = self._carrying.carrier
        self._sensing = Sensing(inventory=parts.inventory, usage=parts.usage, migration=carrier)
        self._acting = Acting(migration=carrier)

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        return self._sensing

    @property
    def acting(self) -> Acting:
        """The changing side."""
        return self._acting

    async def begin(self) -> None:
        """Take up the lapses of an earlier life, and go on tending. Raises Failed when they cannot be read."""
        await self._lapsing.load()
        cells = await self._limits.cells()
        if any(cell.level is Level.AGENT for cell in cells.values()):
            self._sensing = replace(self._sensing, limits=self._lapsing)
            self._acting = replace(self._acting, limits=self._lapsing)
        if self._carrying.carrier is not None:
            await self._carrying.carrier.open()
        self._loops = [asyncio.create_task(self._lapsing.run()), asyncio.create_task(self._tend())]

    async def probe(self) -> Support:
        """Find out what works here, leaving nothing changed."""
        found = {feature: Cell(level=Level.NONE, reason=_NOT_OURS) for feature in FEATURES}
        found["inventory"] = Cell(level=Level.AGENT)
        found.update(self._carrying.cells())
        limits = await self._limits.cells()
        for kind, cell in limits.items():
            offered = cell.level is not Level.AGENT or self._acting.limits is not None
            found[f"limits.{kind}"] = cell if offered else Cell(level=Level.UNKNOWN, reason=_LATER)
        found["limits.cpu_pinning"] = Cell(level=Level.NONE, reason=NO_PINNING)
        if self._acting.limits is not None:
            found["limits.expiry"] = Cell(level=Level.AGENT, reason="what held before is kept on the agent's disk")
        else:
            found["limits.expiry"] = Cell(level=Level.NONE, reason="the agent keeps no limits here")
        found.update(await asyncio.get_running_loop().run_in_executor(self._thread, self._parts.usage_cells))
        return Support(driver="agent", hypervisor=self._parts.hypervisor, cells=found)

    async def end_lapses(self) -> None:
        """Let all limits that would end by themselves end now, as before the agent is removed."""
        await self._lapsing.end_all()

    async def close(self) -> None:
        """Let go of everything; limits stay, and those that end by themselves are ended by the next life."""
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        self._limits.close()
        if self._carrying.carrier is not None:
            await self._carrying.carrier.close()
        await self._parts.close()
        self._thread.shutdown(wait=False)

    def _why_not(self, kind: LimitKind) -> str:
        function = _FUNCTION_OF.get(kind)
        return _OFF if function is not None and function not in self._settings.functions else _NOT_OURS

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await loop.run_in_executor(self._thread, self._parts.tend)
            except Exception:  # noqa: BLE001 -- the edge of the loop: what failed is done again the next second
                _log.exception("limits could not be tended")
