"""What a face (REST, console, command line) may ask of the control plane. Values in, values out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from yamori.control.agents import AgentView, Invitation
from yamori.manifest.module import Hold
from yamori.model.actions import Action
from yamori.model.finding import Finding
from yamori.model.host import Host
from yamori.model.ids import EndpointName, FindingId, HostId, RunId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.proposal import Decision, Proposal
from yamori.model.run import Run
from yamori.model.sla import Objective
from yamori.model.support import Support
from yamori.model.vm import VM


class Contact(StrEnum):
    """Whether an endpoint answers."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """One configured connection. ``error`` is the last one while it is not UP. ``tick_s``: last reading's cost.

    ``gap``: why its usage is unknown though it is UP (the agent on its host is away, say).
    """

    name: EndpointName
    driver: str
    contact: Contact
    since: datetime
    error: str | None
    hosts: tuple[Host, ...]
    tick_s: float | None
    gap: str | None = None


class Standing(StrEnum):
    """Whether an objective is kept. UNKNOWN is never shown as kept."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    NOT_PROMISED = "not_promised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How one objective stands for one VM now: measured value, promised bound, standing."""

    objective: Objective
    value: float | None
    bound: float | None
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class VMView:
    """One VM as the faces show it.

    ``rates`` holds what it uses now: cpu_cores, cpu_delay (s/s), memory_assigned_bytes,
    memory_resident_bytes, disk_iops, disk_bytes_s, disk_latency_s, net_rx_bytes_s, net_tx_bytes_s,
    net_drops (fraction); None means unknown. ``drift`` lists, in words, what somebody else changed by hand.
    """

    vm: VM
    endpoint: EndpointName
    rates: Mapping[str, float | None]
    served: tuple[Served, ...]
    hold: Hold | None
    drift: tuple[str, ...]
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """History of one VM: equally long lists. Times are seconds since the epoch; None where not known."""

    vm: VMId
    times: tuple[float, ...]
    values: Mapping[str, tuple[float | None, ...]]


class EventKind(StrEnum):
    """What the event stream tells."""

    ENDPOINT = "endpoint"
    CHANGE = "change"
    FINDING_RAISED = "finding_raised"
    FINDING_UPDATED = "finding_updated"
    FINDING_CLOSED = "finding_closed"
    DECIDED = "decided"
    RUN = "run"
    DRIFT = "drift"
    DUPLICATE = "duplicate"
    MODULE = "module"
    KILL_SWITCH = "kill_switch"
    AGENT = "agent"
    TICK = "tick"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. ``number`` only grows; ``body`` is plain JSON."""

    number: int
    kind: EventKind
    at: datetime
    subject: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A decision as it was recorded, with the proposal that it ruled on."""

    number: int
    proposal: Proposal
    decision: Decision
    run: RunId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The reason trail of a run: from what was observed to what was read back."""

    run: Run
    finding: Finding | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """Whether modules are kept from acting, so that they only observe. Who said so, why, when; None if nobody did.

    People may still act, holds still end in time, and runs that are under way come to their end.
    """

    on: bool
    by: str | None = None
    reason: str | None = None
    since: datetime | None = None


class Facade(Protocol):
    """The control plane's face. Reading methods answer from memory, at once."""

    def endpoints(self) -> Sequence[EndpointView]:
        """List the configured endpoints."""
        ...

    def vms(self) -> Sequence[VMView]:
        """List all VMs of the fleet."""
        ...

    def vm(self, name_or_id: str) -> VMView:
        """Find one VM by id, or by name where only one has it. Raises NotFound, Conflict (ambiguous name)."""
        ...

    def history(self, vm: VMId, seconds: float) -> Series:
        """Return what is remembered of the last seconds. Raises NotFound."""
        ...

    async def limits(self, vm: VMId) -> Limits:
        """Read the limits of a VM from its hypervisor now. Raises NotFound, Unsupported, Unreachable."""
        ...

    def support(self) -> Mapping[EndpointName, Support | None]:
        """Return what each endpoint can do; None while it was never reached."""
        ...

    async def findings(self, *, open_only: bool, limit: int) -> Sequence[Finding]:
        """List findings, newest first."""
        ...

    async def finding(self, finding: FindingId) -> Finding:
        """Return one finding. Raises NotFound."""
        ...

    async def rulings(self, *, limit: int) -> Sequence[Ruling]:
        """List decisions, newest first, those that led to no run as well."""
        ...

    async def runs(self, *, limit: int) -> Sequence[Run]:
        """List runs, newest first, without their journal entries."""
        ...

    async def run(self, run: RunId) -> Run:
        """Return one run with its journal. Raises NotFound."""
        ...

    async def explain(self, run: RunId) -> Explanation:
        """Return the reason trail of a run. Raises NotFound."""
        ...

    async def request(self, action: Action, *, by: str, reason: str, dry_run: bool) -> tuple[Decision, Run | None]:
        """Ask for an action as an operator. Policy rules on it; a dry run only checks.

        Returns the decision and, when it was allowed, the run (of a dry run: its state after check).
        Raises Refused when the check refuses.
        """
        ...

    async def wait(self, run: RunId) -> Run:
        """Wait until a run has ended. Raises NotFound."""
        ...

    async def undo(self, run: RunId, *, by: str) -> Run:
        """Undo a verified run as an operator. Raises NotFound, Conflict (nothing to undo)."""
        ...

    def kill_switch(self) -> KillSwitch:
        """Tell whether modules are kept from acting."""
        ...

    async def throw_kill_switch(self, *, on: bool, by: str, reason: str) -> KillSwitch:
        """Keep modules from acting from now on, or let them act again. It survives a restart."""
        ...

    async def agents(self) -> Sequence[AgentView]:
        """List the agents on hosts by name; none where the fleet awaits none."""
        ...

    async def invite_agent(self, name: str, *, by: str) -> Invitation:
        """Make a one-time token for an agent. Raises Unsupported, NotFound, Invalid."""
        ...

    async def revoke_agent(self, name: str, *, by: str, reason: str) -> AgentView:
        """Strike an agent off and end its connection, at once. Raises Unsupported, NotFound."""
        ...

    async def verify_ledger(self) -> int:
        """Check the whole hash chain; return the number of records. Raises Tampered."""
        ...

    async def ledger(self, *, after: int, limit: int) -> Sequence[dict[str, Any]]:
        """Return records of the ledger as plain JSON, oldest first."""
        ...

    def events(self, *, after: int | None = None) -> AsyncIterator[Event]:
        """Tell events from now on, or from after a number where that is still remembered."""
        ...

    def limit_kinds(self, vm: VMId) -> frozenset[LimitKind]:
        """Return which limits can be set for a VM where it is now. Raises NotFound."""
        ...

    def host_of(self, vm: VMId) -> HostId:
        """Return where a VM is. Raises NotFound."""
        ...
