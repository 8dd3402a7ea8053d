"""A host in two halves, over one simulated world: a hypervisor that lacks a lot, and an agent that adds it."""

from dataclasses import replace

from yamori.agent.joined import JoinedSession
from yamori.capabilities.session import Acting, Sensing
from yamori.drivers.simulator import SimulatorSession, World
from yamori.model.ids import EndpointName
from yamori.model.support import FEATURES, Cell, Level, Support

BY_AGENT = frozenset(
    {
        "usage",
        "usage.cpu_delay",
        "usage.memory_resident",
        "usage.disk_latency",
        "usage.net_drops",
        "limits.cpu_cap",
        "limits.disk_iops",
        "limits.disk_bandwidth",
        "limits.net_in",
        "limits.net_out",
        "limits.expiry",
    }
)
BY_BOTH = frozenset({"limits.cpu_cap"})


class AgentHalf:
    """What an agent's session looks like: its cells say so."""

    def __init__(self, healthy: SimulatorSession) -> None:
        self.healthy = healthy

    @property
    def sensing(self) -> Sensing:
        return self.healthy.sensing

    @property
    def acting(self) -> Acting:
        return self.healthy.acting

    async def probe(self) -> Support:
        support = await self.healthy.probe()
        cells = {
            name: Cell(level=Level.AGENT) if cell.level is Level.NATIVE and name != "inventory" else cell
            for name, cell in support.cells.items()
        }
        return replace(support, cells=cells)

    async def close(self) -> None:
        await self.healthy.close()


def halves(
    world: World, endpoint: str = "alpha", host: str = "host-0", *, agent_sees: str | None = None
) -> tuple[SimulatorSession, SimulatorSession, JoinedSession]:
    """Return the hypervisor's half, the agent's, and both joined."""
    name = EndpointName(endpoint)
    lacking = dict.fromkeys(BY_AGENT - BY_BOTH, "the hypervisor lacks it")
    foreign = {f: "not the agent's business" for f in FEATURES if f not in BY_AGENT and f != "inventory"}
    native = SimulatorSession(world, name, hosts=[host], without=lacking)
    agent = SimulatorSession(world, name, hosts=[agent_sees or host], without=foreign)
    return native, agent, JoinedSession(name, native, AgentHalf(agent))
