"""A module's card. Registered as an entry point in the group ``yamori.modules``."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.capabilities.session import Acting, Sensing
from yamori.model.finding import Finding
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import Landing
from yamori.model.proposal import Proposal
from yamori.model.sla import SLAClass
from yamori.model.vm import VM

Json = dict[str, Any]
"""What a step notes in the journal: plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A throttle of ours in force: what held before, what we asked, until when."""

    vm: VMId
    before: Mapping[LimitKind, float | None]
    asked: Mapping[LimitKind, float]
    since: datetime
    expires_at: datetime
    run: str
    finding_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What a module may know of the fleet when it judges or proposes. All plain values, one moment.

    ``kinds`` says which limits can be set on each host. ``moving`` are VMs with a run under way.
    ``drifted`` are VMs under a hold whose limits somebody else has changed since: hands off.
    """

    now: datetime
    vms: Mapping[VMId, VM]
    classes: Mapping[str, SLAClass]
    holds: Mapping[VMId, Hold]
    kinds: Mapping[HostId, frozenset[LimitKind]]
    can_migrate: frozenset[HostId]
    moving: frozenset[VMId] = frozenset()
    drifted: frozenset[VMId] = frozenset()

    def sla(self, vm: VMId) -> SLAClass | None:
        """Return the class of a VM, by its label ``sla``; None when it has none that is known."""
        found = self.vms.get(vm)
        return None if found is None else self.classes.get(found.labels.get("sla", ""))


class Sensors(Protocol):
    """The reading side of the fleet as handed to a module: metered, read only."""

    def usage(self) -> UsageFrame:
        """Return the newest frame of the whole fleet."""
        ...

    def view(self) -> FleetView:
        """Return the fleet as known now."""
        ...

    def missing(self) -> Mapping[HostId, str]:
        """Return the hosts that could not be read this time, and why."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step may use. ``hold`` is the throttle in force on the subject, if any.

    ``landing`` is given for a move: the destination's session, sensing and acting, and where to land.
    """

    key: str
    sensing: Sensing
    acting: Acting
    view: FleetView
    hold: Hold | None = None
    landing: Landing | None = None
    destination: Sensing | None = None


class Steps(Protocol):
    """How one verb is carried out. Called only by a run, with an approved action.

    ``check`` looks and changes nothing; it returns what undoing will need, which is journaled before
    ``apply``. ``apply`` is idempotent. ``verify`` reads back and returns what it saw, or raises Failed.
    ``undo`` is idempotent and works from the noted ``before`` alone.

    Two members of what ``check`` returns are read by control: a throttle notes ``hold``, as ``{"before":
    {kind: value}, "asked": {kind: value}}`` (what held before our first touch, and what shall hold now); a
    move notes ``from``, the host that the VM was on. A release of a VM that is gone has nothing to do.
    """

    async def check(self, action: Any, context: StepContext) -> Json:
        """Look. Raises Refused."""
        ...

    async def apply(self, action: Any, before: Json, context: StepContext) -> None:
        """Act. Raises Failed, Refused."""
        ...

    async def verify(self, action: Any, before: Json, context: StepContext) -> Json:
        """Read back. Raises Failed."""
        ...

    async def undo(self, action: Any, before: Json, context: StepContext) -> None:
        """Put back. Raises Failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleManifest:
    """``reads`` names the sensing abilities it cannot do without, ``wants`` those it uses where present.

    ``sense(sensors, settings)`` yields observations, ``assess(observation, memory, settings)`` is pure and
    returns the new memory and findings (open ones, and those that closed just now), ``respond(finding, view,
    settings)`` is pure and returns proposals. ``memory`` is what the module begins with.
    """

    name: str
    summary: str
    settings: type[BaseModel]
    reads: frozenset[str]
    wants: frozenset[str]
    proposes: frozenset[str]
    memory: Callable[[], Any]
    sense: Callable[[Sensors, Any], AsyncIterator[Any]]
    assess: Callable[[Any, Any, Any], tuple[Any, Sequence[Finding]]]
    respond: Callable[[Finding, FleetView, Any], Sequence[Proposal]]
    carries_out: Mapping[str, Callable[[], Steps]] = field(default_factory=dict)
