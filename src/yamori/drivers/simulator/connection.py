"""One endpoint's view of a world: which hosts it speaks for, and the door through which every call goes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from yamori.drivers.simulator.columns import State
from yamori.drivers.simulator.faults import Fault
from yamori.drivers.simulator.feed import Watcher
from yamori.drivers.simulator.world import World
from yamori.model.errors import NotFound, Unreachable
from yamori.model.ids import EndpointName, HostId, VMId


class Connection:
    """Shared by all abilities of one session. ``without`` are the features taken away, with the reason."""

    def __init__(
        self, world: World, endpoint: EndpointName, hosts: tuple[str, ...], without: Mapping[str, str]
    ) -> None:
        self.world = world
        self.endpoint = endpoint
        self.without = without
        self.hosts = tuple(world.host_row(name) for name in hosts)
        self.host_set = frozenset(self.hosts)
        alone = len(hosts) == 1
        self.host_ids: dict[int, HostId] = {
            row: HostId(endpoint if alone else f"{endpoint}/{name}")
            for row, name in zip(self.hosts, hosts, strict=True)
        }
        self._watchers: set[Watcher] = set()
        self._closed = False
        self._cut = False

    @asynccontextmanager
    async def door(self, operation: str, vm: VMId | None = None) -> AsyncIterator[tuple[Fault, ...]]:
        """Let one call in, with the faults that hit it. Raises Unreachable, or what a fault says."""
        self.check_open()
        faults = self.world.faults.strike(operation, endpoint=self.endpoint, vm=vm)
        # At least one other task runs between any two calls, as with a real hypervisor.
        await self.world.clock.sleep(max((f.delay_s for f in faults), default=0.0))
        self.check_open()
        for fault in faults:
            if fault.raises is not None and not fault.obeyed:
                raise fault.error()
        yield faults
        for fault in faults:
            if fault.drift and vm is not None:
                self.world.limit(vm, fault.drift)
        for fault in faults:
            if fault.raises is not None:
                raise fault.error()

    def check_open(self) -> None:
        """Raise Unreachable when closed or cut off."""
        if self._closed or self._cut:
            why = "the session is closed" if self._closed else "the endpoint does not answer"
            raise Unreachable(why, subject=self.endpoint)

    def cut(self) -> None:
        """Lose the line: every call and every watch ends with Unreachable, until it is mended."""
        self._cut = True
        self._break_watchers()

    def mend(self) -> None:
        """Have the line again."""
        self._cut = False

    def close(self) -> None:
        """Let go. Idempotent."""
        self._closed = True
        self._break_watchers()

    def _break_watchers(self) -> None:
        for watcher in self._watchers:
            watcher.cut()

    def join(self) -> Watcher:
        """Begin to watch the hosts of this endpoint."""
        watcher = Watcher(self.host_set)
        self._watchers.add(watcher)
        self.world.feed.join(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Stop watching."""
        self._watchers.discard(watcher)
        self.world.feed.leave(watcher)

    def row(self, vm: VMId) -> int:
        """Return the row of a VM that is on one of this endpoint's hosts. Raises NotFound."""
        row = self.world.row(vm)
        if int(self.world.columns.host[row]) not in self.host_set:
            raise NotFound("there is no such VM at this endpoint", subject=vm)
        return row

    def state(self, row: int) -> State:
        """Return a row's state."""
        return State(self.world.columns.state[row])

    def rows(self) -> NDArray[np.intp]:
        """Return the rows of all VMs on this endpoint's hosts."""
        c = self.world.columns
        mine = c.state != State.GONE
        if len(self.hosts) < len(self.world.hardware.names):
            mine &= np.isin(c.host, self.hosts)
        return np.flatnonzero(mine)
