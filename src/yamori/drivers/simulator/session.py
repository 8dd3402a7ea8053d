"""An open connection to a simulated endpoint, and how to open one."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from weakref import WeakValueDictionary

from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.simulator import probe
from yamori.drivers.simulator.changes import SimulatorChanges
from yamori.drivers.simulator.connection import Connection
from yamori.drivers.simulator.inventory import SimulatorInventory
from yamori.drivers.simulator.limits import SimulatorLimitsReader, SimulatorLimitsWriter
from yamori.drivers.simulator.migration import SimulatorMigration, SimulatorMigrationWatch
from yamori.drivers.simulator.power import SimulatorPower
from yamori.drivers.simulator.settings import SimulatorSettings, WorldShape
from yamori.drivers.simulator.usage import SimulatorUsage
from yamori.drivers.simulator.world import World
from yamori.model.errors import Invalid, NotFound
from yamori.model.ids import EndpointName
from yamori.model.limits import LimitKind
from yamori.model.support import Support

FOLLOW_STEP_S = 0.02
"""Real seconds between two steps of a world that follows real time."""
FOLLOW_MOST_S = 0.1
"""Real seconds that one step makes up for. A process that was not run for longer finds that its world stood still
too: nobody in it could have looked or acted meanwhile."""

_worlds: "WeakValueDictionary[str, World]" = WeakValueDictionary()
"""Worlds by name, for as long as a session looks at them: endpoints that name the same world share it."""


class SimulatorSession:
    """One endpoint's abilities. ``cut`` and ``mend`` take the line away and give it back."""

    def __init__(
        self,
        world: World,
        endpoint: EndpointName,
        *,
        hosts: Sequence[str] | None = None,
        without: Mapping[str, str] | None = None,
    ) -> None:
        """Look at these hosts of a world (default: all). Raises Invalid when there is no such host."""
        names = tuple(hosts) if hosts is not None else world.hardware.names
        if not names:
            raise Invalid("an endpoint speaks for at least one host", subject=endpoint)
        gone = probe.absent(without or {})
        try:
            self._connection = Connection(world, endpoint, names, gone)
        except NotFound as error:
            raise Invalid(error.message, subject=error.subject) from error
        c = self._connection
        limits = any(f"limits.{kind}" not in gone for kind in (*LimitKind, "cpu_pinning"))
        moves = "migration.live" not in gone
        self._sensing = Sensing(
            inventory=SimulatorInventory(c),
            changes=None if "changes" in gone else SimulatorChanges(c),
            usage=None if "usage" in gone else SimulatorUsage(c),
            limits=SimulatorLimitsReader(c) if limits else None,
            migration=SimulatorMigrationWatch(c) if moves else None,
        )
        self._acting = Acting(
            power=None if "power" in gone else SimulatorPower(c),
            limits=SimulatorLimitsWriter(c) if limits else None,
            migration=SimulatorMigration(c) if moves else None,
        )
        self._clockwork: asyncio.Task[None] | None = None

    @property
    def world(self) -> World:
        """The world that this session looks at."""
        return self._connection.world

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        return self._sensing

    @property
    def acting(self) -> Acting:
        """The changing side."""
        return self._acting

    async def probe(self) -> Support:
        """Find out what this endpoint can do. Raises Unreachable."""
        return await probe.probe(self._connection)

    def cut(self) -> None:
        """Lose the line: every call and watch ends with Unreachable until it is mended."""
        self._connection.cut()

    def mend(self) -> None:
        """Have the line again."""
        self._connection.mend()

    def follow(self, factor: float) -> None:
        """Let the world's time follow real time by this factor, at most, until the session closes."""
        if self._clockwork is None:
            self.world.movers.append(self)
            self._clockwork = asyncio.create_task(self._follow(factor))

    async def _follow(self, factor: float) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(FOLLOW_STEP_S)
            now = loop.time()
            # Of all sessions that want to move the same world's time, only the first does.
            if self.world.movers[0] is self:
                self.world.advance(min(now - last, FOLLOW_MOST_S) * factor)
            last = now

    async def close(self) -> None:
        """Let go of everything. Idempotent."""
        self._connection.close()
        if self._clockwork is not None:
            self.world.movers.remove(self)
            self._clockwork.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clockwork
            self._clockwork = None


def world_named(name: str, shape: WorldShape | None) -> World:
    """Return the living world of that name, or make it. Raises Invalid when it has another shape already."""
    world = _worlds.get(name)
    if world is None:
        world = World(shape, name=name)
        _worlds[name] = world
    elif shape is not None and shape != world.shape:
        raise Invalid(f"the simulated world {name} exists already, with another shape")
    return world


async def connect(endpoint: EndpointName, settings: SimulatorSettings) -> SimulatorSession:
    """Open a session. Raises Invalid for hosts that do not exist or a shape that contradicts another one."""
    world = world_named(settings.world, settings.shape)
    session = SimulatorSession(world, endpoint, hosts=settings.hosts, without=settings.without)
    if settings.follow is not None:
        session.follow(settings.follow)
    return session
