"""Binds a module's steps to one run: the right session, the newest view, and what it means for holds."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from yamori.control.facade import Contact
from yamori.control.fleet import Fleet
from yamori.control.keeper import Keeper
from yamori.control.records import HoldLifted, HoldReverted, Holds, HoldTaken
from yamori.manifest.module import FleetView, Hold, StepContext, Steps
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import Conflict, Defect, NotFound, Unreachable
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import Landing
from yamori.model.plain import Json
from yamori.model.run import Run, RunState
from yamori.workflow.journal import Fact

FROM = "from"
"""Member of a move's ``before``: the host that the VM was on. A resumed move must find its way back there."""
HOLD = "hold"
"""Member of a throttle's ``before``: ``{"before": {kind: value}, "asked": {kind: value}}``."""


class BoundStep:
    """Fulfils the workflow's Step for one run. The context is made afresh for each phase: VMs move."""

    def __init__(
        self,
        run: Run,
        steps: Steps,
        *,
        keepers: Mapping[EndpointName, Keeper],
        fleet: Callable[[], Fleet],
        view: Callable[[], FleetView],
        holds: Holds,
        finding_key: str | None,
    ) -> None:
        self._run = run
        self._steps = steps
        self._keepers = keepers
        self._fleet = fleet
        self._view = view
        self._holds = holds
        self._finding_key = finding_key
        self._action = run.decision.action

    @property
    def name(self) -> str:
        """Return the verb."""
        return self._action.verb

    async def check(self) -> Json:
        """Look; return what undoing will need."""
        return await self._steps.check(self._action, await self._context(None))

    async def apply(self, before: Json) -> None:
        """Act."""
        await self._steps.apply(self._action, before, await self._context(before))

    async def verify(self, before: Json) -> Json:
        """Read back."""
        return await self._steps.verify(self._action, before, await self._context(before))

    async def undo(self, before: Json) -> None:
        """Put back."""
        await self._steps.undo(self._action, before, await self._context(before))

    def facts(self, state: RunState, before: Json | None) -> Sequence[Fact]:
        """Say what becomes true for holds when the run enters a state."""
        vm = self._run.subject
        if isinstance(self._action, Throttle):
            if state is RunState.APPLYING and before is not None:
                return (HoldTaken(hold=hold_of(self._run, self._action, before, self._finding_key)),)
            if state is RunState.UNDONE:
                return (HoldReverted(vm=vm, run=self._run.id),)
        if isinstance(self._action, Release) and state is RunState.VERIFIED:
            return (HoldLifted(vm=vm),)
        return ()

    async def _context(self, before: Json | None) -> StepContext:
        vm = self._run.subject
        keeper = self._keeper(vm, before)
        landing: Landing | None = None
        destination: Keeper | None = None
        if isinstance(self._action, Migrate):
            destination = self._destination(self._action)
            landing = await self._landing(destination, vm, self._action.to)
        return StepContext(
            key=self._run.id,
            sensing=keeper.session.sensing,
            acting=keeper.session.acting,
            view=self._view(),
            hold=await self._replaced(before),
            landing=landing,
            destination=None if destination is None else destination.session.sensing,
        )

    async def _replaced(self, before: Json | None) -> Hold | None:
        """Return the hold in force when the run began: once ours is taken, the one beneath it."""
        hold = self._holds.now().get(self._run.subject)
        if before is not None and hold is not None and hold.run == self._run.id:
            return await self._holds.beneath(self._run.id)
        return hold

    def _keeper(self, vm: VMId, before: Json | None) -> Keeper:
        fleet = self._fleet()
        if isinstance(self._action, Migrate) and before is not None and isinstance(before.get(FROM), str):
            name = fleet.endpoint_of.get(HostId(before[FROM]))
        else:
            name = fleet.at.get(vm)
        if name is None:
            dark = sorted(k.name for k in self._keepers.values() if k.contact is not Contact.UP)
            if dark:
                raise Unreachable(f"not seen while {', '.join(dark)} cannot be reached", subject=vm)
            if isinstance(self._action, Release):
                # Whichever endpoint is asked says that the VM is gone, and with it the need to put anything back.
                return next(iter(self._keepers.values()))
            raise NotFound("no such VM in the fleet", subject=vm)
        return self._keepers[name]

    def _destination(self, action: Migrate) -> Keeper:
        name = None if action.to is None else self._fleet().endpoint_of.get(action.to)
        if name is None:
            raise NotFound("no such host in the fleet", subject=action.to, mend="see `yamori fleet`")
        return self._keepers[name]

    async def _landing(self, destination: Keeper, vm: VMId, host: HostId | None) -> Landing | None:
        acting = destination.session.acting.migration
        if acting is None or host is None:
            return None
        try:
            return await acting.landing(vm, host)
        except Conflict:
            # It has arrived there already: the run is being resumed after the move.
            return None


def hold_of(run: Run, action: Throttle, before: Json, finding_key: str | None) -> Hold:
    """Return the hold that a throttle takes. Raises Defect when the step did not note what held before."""
    noted: Any = before.get(HOLD)
    if not isinstance(noted, dict):
        raise Defect(f"the throttle step of run {run.id} noted no {HOLD!r}")
    return Hold(
        vm=run.subject,
        before={LimitKind(k): None if v is None else float(v) for k, v in noted["before"].items()},
        asked={LimitKind(k): float(v) for k, v in noted["asked"].items()},
        since=run.created_at,
        expires_at=run.created_at + timedelta(seconds=action.expires_after_s),
        run=run.id,
        finding_key=finding_key,
    )
