"""All limits that the agent keeps on its host, from several sources: checked together before the first change."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from yamori.agent.functions.bounds import Bounds
from yamori.capabilities.sensing.inventory import Inventory
from yamori.model.errors import Conflict, Unreachable, Unsupported, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, check_sense
from yamori.model.support import Cell, Level
from yamori.model.vm import VM, PowerState

T = TypeVar("T")
RUNS = frozenset({PowerState.RUNNING, PowerState.PAUSED})
NO_PINNING = "the hypervisor's own interface pins vCPUs; the agent has nothing to add"


class HostLimits:
    """A LimitsReader and LimitsWriter. Blocking work is done by ``thread``, one piece after the other."""

    def __init__(
        self, inventory: Inventory, bounds: Sequence[Bounds], why_not: Callable[[LimitKind], str], thread: Executor
    ) -> None:
        self._inventory = inventory
        self._bounds = bounds
        self._why_not = why_not
        self._thread = thread
        self._cells: Mapping[LimitKind, Cell] = {}
        self._closed = False

    async def cells(self) -> Mapping[LimitKind, Cell]:
        """Find out which kinds work here."""
        told = await self._do(lambda: [bounds.cells() for bounds in self._bounds])
        found = {kind: Cell(level=Level.NONE, reason=self._why_not(kind)) for kind in LimitKind}
        for cells in told:
            found.update(cells)
        self._cells = found
        return found

    async def runs(self, vm: VMId) -> bool:
        """Say whether a VM executes here, or could at once. Raises NotFound, Unreachable, TimedOut."""
        return (await self._inventory.vm(vm)).state in RUNS

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM."""
        shape = await self._inventory.vm(vm)
        if shape.state not in RUNS:
            return Limits(unknown=dict.fromkeys(LimitKind, "the VM is not running"))
        told = await self._do(lambda: [bounds.read(shape) for bounds in self._bounds])
        values: dict[LimitKind, float | None] = {}
        unknown = {kind: self._why_not(kind) for kind in LimitKind}
        for kind, value in ((kind, value) for part in told for kind, value in part.items()):
            absent = self._absent(kind)
            if absent is not None:
                unknown[kind] = absent
            elif isinstance(value, YamoriError):
                unknown[kind] = value.message
            else:
                values[kind] = value
                del unknown[kind]
        return Limits(values=values, unknown=unknown)

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM; lapses are kept by LapsingLimits over this."""
        check_sense(limits, lapse_s, subject=vm)
        if not self._cells:
            await self.cells()
        for kind in limits:
            absent = self._absent(kind)
            if absent is not None:
                raise Unsupported(f"limits.{kind}", absent, subject=vm)
        shape = await self._inventory.vm(vm)
        if shape.state not in RUNS:
            raise Conflict("the VM is not running", subject=vm)
        await self._do(lambda: self._apply(shape, limits))

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Not kept by the agent: raises Unsupported."""
        raise Unsupported("limits.cpu_pinning", NO_PINNING, subject=vm)

    def close(self) -> None:
        """What comes after is unreachable."""
        self._closed = True

    def _apply(self, shape: VM, limits: Mapping[LimitKind, float | None]) -> None:
        acts = []
        for bounds in self._bounds:
            wanted = {kind: value for kind, value in limits.items() if kind in bounds.kinds}
            if wanted:
                acts.append(bounds.plan(shape, wanted))
        for act in acts:
            act()

    def _absent(self, kind: LimitKind) -> str | None:
        cell = self._cells.get(kind)
        return None if cell is None or cell.level is Level.AGENT else cell.reason

    async def _do(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise Unreachable("the session is closed")
        # Shielded: a change that was begun is done whole, even if who asked for it is gone.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
