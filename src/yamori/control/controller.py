"""The control plane as a whole: fulfils the faces' interface and keeps everything running."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from yamori.control.agents import AgentGate, AgentView, Invitation
from yamori.control.binding import FROM
from yamori.control.census import Census
from yamori.control.dispatcher import Dispatcher, World
from yamori.control.events import Events
from yamori.control.explain import explain
from yamori.control.facade import (
    EndpointView,
    Event,
    EventKind,
    Explanation,
    KillSwitch,
    Ruling,
    Series,
    VMView,
)
from yamori.control.gauge import Gauge
from yamori.control.history import History
from yamori.control.keeper import Keeper
from yamori.control.lookout import Lookout
from yamori.control.loop import Loop
from yamori.control.notes import Notes
from yamori.control.records import Findings, Holds, Recorder, Rulings
from yamori.control.seat import Seat
from yamori.control.settings import FleetSettings
from yamori.control.switch import Switch
from yamori.manifest.module import Steps
from yamori.model.actions import Action, Migrate
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Conflict, NotPermitted, Unsupported
from yamori.model.finding import Finding
from yamori.model.ids import EndpointName, FindingId, HostId, RunId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.plain import to_plain
from yamori.model.proposal import Decision, Proposal
from yamori.model.run import Run, RunState
from yamori.model.support import Support
from yamori.policy.rules import Policy
from yamori.trust.ledger import Ledger, RecordKind
from yamori.workflow.clock import Clock
from yamori.workflow.engine import Engine
from yamori.workflow.journal import Journal
from yamori.workflow.lease import Leases

NO_GATE = "no endpoint of this fleet waits for an agent"
BUSY_WAIT_S = 10.0
"""An operator's request waits so long for a run that is under way on the same VM."""


class Controller:
    """Fulfils ``Facade``. Made once per process by the wiring; ``serve`` keeps it going until cancelled."""

    def __init__(
        self,
        settings: FleetSettings,
        *,
        keepers: Callable[["Controller"], Sequence[Keeper]],
        seats: Sequence[Seat],
        policy: Policy,
        clock: Clock,
        owner: str,
        journal: Journal,
        leases: Leases,
        ledger: Ledger,
        findings: Findings,
        rulings: Rulings,
        holds: Holds,
        recorder: Recorder | None,
        agents: AgentGate | None = None,
    ) -> None:
        self._agents = agents
        self._clock = clock
        self._journal = journal
        self._ledger = ledger
        self._findings = findings
        self._rulings = rulings
        self._events = Events(clock.now)
        self._gauge = Gauge()
        self._history = History(settings.history_s)
        self._notes = Notes(ledger, self._events)
        self._switch = Switch(ledger, self._events)
        self._keepers = {keeper.name: keeper for keeper in keepers(self)}
        self._lookout = Lookout(
            tick_s=settings.tick_s,
            now=clock.now,
            holds=holds.now,
            busy=self._busy,
            on_drift=self._notes.drifted,
        )
        self._census = Census(
            keepers=self._keepers,
            policy=lambda: policy,
            now=clock.now,
            holds=holds.now,
            busy=self._busy,
            lookout=self._lookout,
            gauge=self._gauge,
        )
        world = World(
            fleet=self._census.fleet,
            view=self._census.view,
            load=self._census.load,
            policy=lambda: policy,
            now=clock.now,
            keepers=self._keepers,
            kill_switch=lambda: self._switch.now().on,
        )
        steps: dict[str, Callable[[], Steps]] = {}
        for seat in seats:
            steps.update(seat.manifest.carries_out)
        self._dispatcher = Dispatcher(
            world=world,
            engine=Engine(journal=journal, leases=leases, owner=owner, clock=clock, told=self._told),
            journal=journal,
            rulings=rulings,
            holds=holds,
            findings=findings,
            steps=steps,
            on_ruling=self._notes.ruled,
        )
        self._loop = Loop(
            tick_s=settings.tick_s,
            world=world,
            seats=seats,
            dispatcher=self._dispatcher,
            findings=findings,
            recorder=recorder,
            gauge=self._gauge,
            history=self._history,
            events=self._events,
            on_duplicate=self._notes.doubled,
        )

    async def serve(self) -> None:
        """Keep the fleet in view until cancelled; unfinished runs are left for the next start."""
        try:
            await self._switch.load()
            async with asyncio.TaskGroup() as tasks:
                for keeper in self._keepers.values():
                    tasks.create_task(keeper.run(), name=f"keeper {keeper.name}")
                    tasks.create_task(self._lookout.watch(keeper), name=f"lookout {keeper.name}")
                tasks.create_task(self._notes.write(), name="ledger notes")
                await self._dispatcher.resume()
                tasks.create_task(self._loop.run(), name="loop")
        finally:
            await self._dispatcher.close()
            for keeper in self._keepers.values():
                await keeper.session.close()

    # What the keepers tell.

    def reading(self, keeper: Keeper) -> None:
        """Note an attempt to read an endpoint."""
        self._loop.reading(keeper)

    def change(self, keeper: Keeper, change: Change) -> None:
        """Note a change that a hypervisor told."""
        if change.kind is ChangeKind.RECONFIGURED:
            self._lookout.moved(keeper, change.vm)
        self._events.tell(EventKind.CHANGE, change.vm, to_plain(change))

    def agent(self, name: str, *, connected: bool, why: str | None) -> None:
        """Note that an agent has connected or was lost; its gateway keeps the ledger."""
        self._events.tell(EventKind.AGENT, name, {"connected": connected, "error": why})

    def contact(self, keeper: Keeper) -> None:
        """Note that an endpoint was reached or lost."""
        self._notes.contact(keeper.view())

    # What the faces ask.

    def endpoints(self) -> Sequence[EndpointView]:
        """List the configured endpoints."""
        return [keeper.view() for keeper in self._keepers.values()]

    def vms(self) -> Sequence[VMView]:
        """List all VMs of the fleet."""
        return self._census.views()

    def vm(self, name_or_id: str) -> VMView:
        """Find one VM by id, or by name where only one has it."""
        return self._census.views([self._census.find(name_or_id)])[0]

    def history(self, vm: VMId, seconds: float) -> Series:
        """Return what is remembered of the last seconds."""
        return self._history.of(vm, seconds, self._clock.now().timestamp())

    async def limits(self, vm: VMId) -> Limits:
        """Read the limits of a VM from its hypervisor now."""
        keeper = self._census.keeper_of(vm)
        reader = keeper.session.sensing.limits
        if reader is None:
            raise Unsupported("limits", f"{keeper.name} cannot read them", subject=vm)
        return await reader.read(vm)

    def support(self) -> Mapping[EndpointName, Support | None]:
        """Return what each endpoint can do; None while it was never reached."""
        return {keeper.name: keeper.support for keeper in self._keepers.values()}

    async def findings(self, *, open_only: bool, limit: int) -> Sequence[Finding]:
        """List findings, newest first."""
        return await self._findings.list(open_only=open_only, limit=limit)

    async def finding(self, finding: FindingId) -> Finding:
        """Return one finding."""
        return await self._findings.get(finding)

    async def rulings(self, *, limit: int) -> Sequence[Ruling]:
        """List decisions, newest first."""
        return await self._rulings.list(limit=limit)

    async def runs(self, *, limit: int) -> Sequence[Run]:
        """List runs, newest first."""
        return await self._journal.runs(limit=limit)

    async def run(self, run: RunId) -> Run:
        """Return one run with its journal."""
        return await self._journal.run(run)

    async def explain(self, run: RunId) -> Explanation:
        """Return the reason trail of a run."""
        found = await self._journal.run(run)
        finding = None if found.proposal.finding is None else await self._findings.get(found.proposal.finding)
        return Explanation(
            run=found, finding=finding, lines=explain(found, finding, self._census.name_of(found.subject))
        )

    async def request(self, action: Action, *, by: str, reason: str, dry_run: bool) -> tuple[Decision, Run | None]:
        """Ask for an action as an operator."""
        self._census.find(action.vm)
        proposal = Proposal(
            action=action, by=f"operator:{by}", reason=reason, finding=None, proposed_at=self._clock.now()
        )
        if dry_run:
            return await self._dispatcher.dry_run(proposal, None)
        deadline = self._clock.monotonic() + BUSY_WAIT_S
        while action.vm in self._dispatcher.busy() and self._clock.monotonic() < deadline:
            await self._clock.sleep(0.1)
        return await self._dispatcher.submit(proposal, None)

    async def wait(self, run: RunId) -> Run:
        """Wait until a run has ended."""
        return await self._dispatcher.wait(run)

    async def undo(self, run: RunId, *, by: str) -> Run:
        """Undo a verified run as an operator: a throttle is put back, a move is moved back by a run of its own."""
        await self._ledger.append(RecordKind.REQUESTED, {"undo": run, "by": f"operator:{by}"})
        known = await self._journal.run(run)
        if isinstance(known.decision.action, Migrate) and known.state is RunState.VERIFIED:
            return await self._move_back(known, by)
        return await self._dispatcher.undo(run, by=f"operator:{by}")

    async def _move_back(self, run: Run, by: str) -> Run:
        home = (run.before or {}).get(FROM)
        if not isinstance(home, str) or self.host_of(run.subject) == home:
            raise Conflict("it is where it was before this move", subject=run.subject)
        action = run.decision.action
        stopping = isinstance(action, Migrate) and action.stopping
        back = Migrate(vm=run.subject, to=HostId(home), stopping=stopping)
        decision, begun = await self.request(back, by=by, reason=f"undo of run {run.id}", dry_run=False)
        if begun is None:
            raise NotPermitted(decision.reason, subject=run.subject)
        return await self.wait(begun.id)

    def kill_switch(self) -> KillSwitch:
        """Tell whether modules are kept from acting."""
        return self._switch.now()

    async def throw_kill_switch(self, *, on: bool, by: str, reason: str) -> KillSwitch:
        """Keep modules from acting, or let them act again."""
        return await self._switch.throw(on=on, by=f"operator:{by}", reason=reason)

    async def agents(self) -> Sequence[AgentView]:
        """List the agents on hosts."""
        return () if self._agents is None else await self._agents.agents()

    async def invite_agent(self, name: str, *, by: str) -> Invitation:
        """Make a one-time token for an agent."""
        return await self._gate().invite(name, by=f"operator:{by}")

    async def revoke_agent(self, name: str, *, by: str, reason: str) -> AgentView:
        """Strike an agent off."""
        return await self._gate().revoke(name, by=f"operator:{by}", reason=reason)

    def _gate(self) -> AgentGate:
        if self._agents is None:
            raise Unsupported("agents", NO_GATE, mend="give one `agent: remote` in the fleet's file")
        return self._agents

    async def verify_ledger(self) -> int:
        """Check the whole hash chain."""
        return await self._ledger.verify()

    async def ledger(self, *, after: int, limit: int) -> Sequence[dict[str, Any]]:
        """Return records of the ledger."""
        return [to_plain(record) for record in await self._ledger.records(after=after, limit=limit)]

    def events(self, *, after: int | None = None) -> AsyncIterator[Event]:
        """Tell events."""
        return self._events.listen(after)

    def limit_kinds(self, vm: VMId) -> frozenset[LimitKind]:
        """Return which limits can be set for a VM where it is now."""
        return self._census.limit_kinds(vm)

    def host_of(self, vm: VMId) -> HostId:
        """Return where a VM is."""
        return self._census.host_of(vm)

    # What is told on.

    def _busy(self) -> frozenset[VMId]:
        return self._dispatcher.busy()

    def _told(self, run: Run) -> None:
        self._dispatcher.told(run)
        body = to_plain(run)
        body.pop("entries", None)
        self._events.tell(EventKind.RUN, run.id, body)
