"""An agent as a session: the same abilities as any other, asked over its connection."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from yamori.agent.gateway.asking import Asking, named, nothing
from yamori.agent.gateway.migration import RemoteMigration
from yamori.agent.gateway.post import Post
from yamori.agent.gateway.translate import limits_of, listing_of, support_of, vm_of
from yamori.agent.protocol.calls import ACT_S, CallName, SetLimits, taken
from yamori.agent.protocol.columns import Reading, unpack
from yamori.capabilities.sensing.inventory import Listing
from yamori.capabilities.sensing.usage import UsageFrame
from yamori.capabilities.session import Acting, Sensing
from yamori.model.errors import Invalid
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.support import Support
from yamori.model.vm import VM


class RemoteInventory:
    """Fulfils ``Inventory``: what the agent sees of its host."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def read(self) -> Listing:
        """List the host and its VMs."""
        host = self._asking.host
        return await self._asking.ask(CallName.INVENTORY, {}, lambda told: listing_of(told, host))

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh."""

        def read(told: Any) -> VM:
            found = vm_of(told, self._asking.host)
            if found.id != vm:
                raise Invalid("another VM than the one that was asked for")
            return found

        return await self._asking.ask(CallName.VM, {"vm": named(vm)}, read)


class RemoteUsage:
    """Fulfils ``Usage``."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def read(self) -> UsageFrame:
        """Read the counters of all running VMs."""
        return await self._asking.ask(CallName.USAGE, {}, self._frame)

    def _frame(self, untrusted_value: Any) -> UsageFrame:
        told = taken(Reading, untrusted_value)
        asking = self._asking
        read_at = asking.post.clock.ours(told.clock, read=told.read_at, now=time.monotonic())
        return unpack(told, host=asking.host, read_at=read_at, wall=asking.now())


class RemoteLimitsReader:
    """Fulfils ``LimitsReader``."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM."""
        return await self._asking.ask(CallName.LIMITS, {"vm": named(vm)}, limits_of)


class RemoteLimitsWriter:
    """Fulfils ``LimitsWriter``."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM, to lapse by themselves after ``lapse_s``."""
        plain = {LimitKind(kind).value: value for kind, value in limits.items()}
        # Checked before it is sent as well: JSON has no word for NaN but the one that lifts a limit.
        checked = taken(SetLimits, {"vm": named(vm), "limits": plain, "lapse_s": lapse_s})
        await self._asking.ask(CallName.SET_LIMITS, checked.model_dump(mode="json"), nothing, timeout_s=ACT_S)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs."""
        arguments = {"vm": named(vm), "cpus": None if cpus is None else sorted(cpus)}
        await self._asking.ask(CallName.PIN, arguments, nothing, timeout_s=ACT_S)


class RemoteSession:
    """Fulfils ``Session`` for the host of one agent. What the agent cannot do raises Unsupported; ask ``probe``.

    While the agent is not connected every call raises Unreachable at once.
    """

    def __init__(self, endpoint: EndpointName, post: Post, now: Callable[[], datetime]) -> None:
        self._asking = Asking(post, HostId(endpoint), now)
        self._sensing = Sensing(
            inventory=RemoteInventory(self._asking),
            usage=RemoteUsage(self._asking),
            limits=RemoteLimitsReader(self._asking),
            migration=RemoteMigration(self._asking),
        )
        self._acting = Acting(limits=RemoteLimitsWriter(self._asking), migration=RemoteMigration(self._asking))

    @property
    def sensing(self) -> Sensing:
        """The reading side."""
        return self._sensing

    @property
    def acting(self) -> Acting:
        """The changing side."""
        return self._acting

    async def probe(self) -> Support:
        """Ask the agent what it can do."""
        return await self._asking.ask(CallName.PROBE, {}, support_of)

    async def close(self) -> None:
        """Ask no more. The gateway keeps the connection."""
        self._asking.closed = True
