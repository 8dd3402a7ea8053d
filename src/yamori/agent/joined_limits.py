"""Limits of one VM, some kept by the hypervisor itself and some by the agent on its host."""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.sensing.inventory import Inventory
from yamori.capabilities.sensing.limits import LimitsReader
from yamori.model.errors import Conflict, NotFound, TimedOut, Unreachable, Unsupported
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind, Limits, check_sense

_AWAY = (Unreachable, TimedOut)


@dataclass(frozen=True, slots=True)
class Routes:
    """Which features the agent of an endpoint offers, as it said when it was last asked."""

    endpoint: EndpointName
    agents: frozenset[str]

    def by_agent(self, kind: LimitKind) -> bool:
        """Say whether a kind of limit goes through the agent."""
        return f"limits.{kind}" in self.agents

    def pins(self) -> bool:
        """Say whether the agent pins vCPUs."""
        return "limits.cpu_pinning" in self.agents


class JoinedLimitsReader:
    """Reads from both. What cannot be read from one of them is unknown, with the reason; the rest is told."""

    def __init__(
        self, routes: Routes, inventory: Inventory, native: LimitsReader | None, agent: LimitsReader
    ) -> None:
        self._routes = routes
        self._inventory = inventory
        self._native = native
        self._agent = agent

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM."""
        native = Limits(unknown=dict.fromkeys(LimitKind, "the hypervisor's own interface does not tell"))
        if self._native is not None:
            native = await self._native.read(vm)
        values, unknown = dict(native.values), dict(native.unknown)
        pinning = native.pinning
        agent = await self._agents(vm)
        if isinstance(agent, str):
            for kind in LimitKind:
                if kind not in values and (self._routes.by_agent(kind) or not self._routes.agents):
                    unknown[kind] = agent[:400]
            return Limits(values=values, unknown=unknown, pinning=pinning)
        for kind in LimitKind:
            if kind in agent.values and (self._routes.by_agent(kind) or kind not in values):
                values[kind] = agent.values[kind]
                unknown.pop(kind, None)
        if self._native is None:
            pinning = agent.pinning
        return Limits(values=values, unknown=unknown, pinning=pinning)

    async def _agents(self, vm: VMId) -> Limits | str:
        """What the agent tells, or why it cannot."""
        try:
            return await self._agent.read(vm)
        except NotFound:
            return await _unseen(self._inventory, vm)
        except _AWAY as error:
            return f"the agent on the host cannot be asked: {error.message}"


class JoinedLimitsWriter:
    """Sends each kind to who keeps it. Everything that can be known beforehand is checked before any change."""

    def __init__(
        self, routes: Routes, inventory: Inventory, native: LimitsWriter | None, agent: LimitsWriter
    ) -> None:
        self._routes = routes
        self._inventory = inventory
        self._native = native
        self._agent = agent

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM.

        A kind that both can keep goes to the hypervisor while the agent is away: letting go must not wait.
        """
        check_sense(limits, lapse_s, subject=vm)
        agents = {kind: value for kind, value in limits.items() if self._routes.by_agent(kind)}
        rest = {kind: value for kind, value in limits.items() if kind not in agents}
        if rest:
            await self._natively(vm, rest, lapse_s)
        if agents:
            try:
                await self._agent.set(vm, agents, lapse_s=lapse_s)
            except NotFound:
                raise Conflict(await _unseen(self._inventory, vm), subject=vm) from None
            except Unreachable as away:
                await self._instead(vm, agents, away, lapse_s)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs; None gives back all."""
        if self._native is None or self._routes.pins():
            await self._agent.pin(vm, cpus)
        else:
            await self._native.pin(vm, cpus)

    async def _natively(self, vm: VMId, limits: Mapping[LimitKind, float | None], lapse_s: float | None) -> None:
        if self._native is None:
            kind = next(iter(limits))
            raise Unsupported(f"limits.{kind}", "neither the hypervisor nor the agent keeps it", subject=vm)
        await self._native.set(vm, limits, lapse_s=lapse_s)

    async def _instead(
        self,
        vm: VMId,
        limits: Mapping[LimitKind, float | None],
        away: Unreachable,
        lapse_s: float | None,
    ) -> None:
        if self._native is None:
            raise away
        try:
            await self._native.set(vm, limits, lapse_s=lapse_s)
        except Unsupported:
            raise away from None


async def _unseen(inventory: Inventory, vm: VMId) -> str:
    """Say why the agent knows nothing of a VM that the hypervisor knows. Raises NotFound where neither does."""
    found = await inventory.vm(vm)
    return f"the agent on the host sees only what runs, and the VM is {found.state}"
