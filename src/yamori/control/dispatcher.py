"""From a proposal to an ended run: policy rules, the ruling is recorded, what is allowed is carried out."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from yamori.control.binding import BoundStep
from yamori.control.deeds import Deeds
from yamori.control.facade import Contact
from yamori.control.fleet import Fleet
from yamori.control.keeper import Keeper
from yamori.control.placement import choose_host
from yamori.control.records import Findings, Holds, Rulings
from yamori.manifest.module import FleetView, Steps
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import Conflict, NotFound, Unsupported, YamoriError
from yamori.model.finding import Finding
from yamori.model.ids import EndpointName, HostId, RunId, VMId
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import ENDED, Run
from yamori.policy.decide import decide
from yamori.policy.facts import CONTROL, Facts
from yamori.policy.rules import Policy
from yamori.workflow.engine import Engine
from yamori.workflow.journal import Journal
from yamori.workflow.plan import plan

log = logging.getLogger(__name__)

SAID_AGAIN_S = 60.0
"""A ruling that leads to nothing is not recorded again within this time while it stays the same."""
RETRY_S = 10.0
"""Pause before a release that failed, or a run that broke off, is tried again."""
CONTACT_WAIT_S = 60.0
"""How long resumed runs wait for their endpoints to be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the dispatcher may look at, always as it is now."""

    fleet: Callable[[], Fleet]
    view: Callable[[], FleetView]
    load: Callable[[], Mapping[HostId, float]]
    policy: Callable[[], Policy]
    now: Callable[[], datetime]
    keepers: Mapping[EndpointName, Keeper]
    kill_switch: Callable[[], bool]


class Dispatcher:
    """Rules on proposals and carries out what is allowed, in the background, one run at a time for each VM."""

    def __init__(
        self,
        *,
        world: World,
        engine: Engine,
        journal: Journal,
        rulings: Rulings,
        holds: Holds,
        findings: Findings,
        steps: Mapping[str, Callable[[], Steps]],
        on_ruling: Callable[[Proposal, Decision, RunId | None], None],
    ) -> None:
        self._world = world
        self._engine = engine
        self._journal = journal
        self._rulings = rulings
        self._holds = holds
        self._findings = findings
        self._steps = steps
        self._on_ruling = on_ruling
        self.deeds = Deeds()
        self._tasks: dict[RunId, asyncio.Task[Run]] = {}
        self._said: dict[tuple[VMId, str, str, str], datetime] = {}
        self._not_before: dict[VMId, datetime] = {}
        self._first_word: dict[RunId, asyncio.Event] = {}
        self._left: dict[RunId, datetime] = {}

    def busy(self) -> frozenset[VMId]:
        """Return the VMs with a run under way."""
        return self.deeds.busy()

    async def submit(self, proposal: Proposal, finding: Finding | None) -> tuple[Decision, Run | None]:
        """Rule on a proposal; begin the run in the background when it is allowed.

        A module's proposal for a VM with a run under way is left for the next tick: Conflict.
        Raises Conflict, NotFound, Unsupported (no module carries out the verb).
        """
        vm = proposal.action.vm
        if vm in self.busy():
            raise Conflict("another run is under way", subject=vm)
        proposal = self._placed(proposal)
        decision = decide(proposal, self._facts(proposal, finding), self._world.policy())
        if decision.verdict is not Verdict.ALLOW:
            await self._say(proposal, decision)
            return decision, None
        run = plan(vm, proposal, decision, self._world.now())
        step = self._bind(run, finding)
        # Noted before the first await: a second proposal for this VM must find it busy.
        self.deeds.note(run, self._world.fleet())
        try:
            await self._rulings.add(proposal, decision, run=run.id)
        except BaseException:
            self.deeds.forget(run.id)
            raise
        self._on_ruling(proposal, decision, run.id)
        await self._written(run, self._begin(run, self._engine.execute(run, step)))
        return decision, run

    async def dry_run(self, proposal: Proposal, finding: Finding | None) -> tuple[Decision, Run | None]:
        """Rule and check, change nothing, record nothing. Raises Refused, Failed."""
        proposal = self._placed(proposal)
        decision = decide(proposal, self._facts(proposal, finding), self._world.policy())
        if decision.verdict is not Verdict.ALLOW:
            return decision, None
        run = plan(proposal.action.vm, proposal, decision, self._world.now())
        return decision, await self._engine.dry_run(run, self._bind(run, finding))

    async def undo(self, run_id: RunId, *, by: str) -> Run:
        """Undo an ended run and wait for it. Raises NotFound, Conflict."""
        run = await self._journal.run(run_id)
        hold = self._holds.now().get(run.subject)
        if isinstance(run.decision.action, Throttle) and (hold is None or hold.run != run_id):
            raise Conflict(f"the throttle of run {run_id} is not in force any more", subject=run.subject)
        return await self._engine.undo(run_id, self._bind(run, await self._finding(run)), by=by)

    async def wait(self, run_id: RunId) -> Run:
        """Wait until a run has ended. Raises NotFound."""
        task = self._tasks.get(run_id)
        if task is not None:
            await asyncio.wait({task})
        return await self._journal.run(run_id)

    async def resume(self) -> None:
        """Go on with what an earlier process left unfinished, once its endpoints are reached."""
        for run in reversed(await self._journal.runs(limit=500)):
            self.deeds.note(run, self._world.fleet())
        for run in await self._journal.unfinished():
            self.deeds.note(run, self._world.fleet())
            self._begin(run, self._resume(run))

    async def pick_up(self) -> None:
        """Go on with runs that broke off, as when their lease was lost: nothing new begins on a VM before that."""
        now = self._world.now()
        for run_id in [run_id for run_id, due in self._left.items() if due <= now]:
            del self._left[run_id]
            try:
                run = await self._journal.run(run_id)
            except NotFound:
                continue  # it broke off before its first word
            if run.state not in ENDED:
                self.deeds.note(run, self._world.fleet())
                self._begin(run, self._resume(run))

    async def release_expired(self) -> None:
        """Let go of every hold whose time has come."""
        now = self._world.now()
        for vm, hold in self._holds.now().items():
            if hold.expires_at > now or vm in self.busy() or self._not_before.get(vm, now) > now:
                continue
            keeper = self._world.keepers.get(self._world.fleet().at.get(vm, EndpointName("")))
            if keeper is not None and keeper.contact is not Contact.UP:
                continue
            reason = f"the throttle of {hold.since:%H:%M:%S} has reached its end"
            proposal = Proposal(action=Release(vm=vm), by=CONTROL, reason=reason, finding=None, proposed_at=now)
            self._not_before[vm] = _later(now, RETRY_S)
            try:
                await self.submit(proposal, None)
            except YamoriError as error:
                log.warning("the hold on %s could not be let go yet: %s", vm, error)

    async def close(self) -> None:
        """Stop working; unfinished runs stay in the journal and are resumed at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def told(self, run: Run) -> None:
        """Note that the journal has taken a word of a run."""
        self.deeds.note(run, self._world.fleet())
        if (first := self._first_word.get(run.id)) is not None:
            first.set()

    async def _written(self, run: Run, task: asyncio.Task[Run]) -> None:
        """Wait for a run's first word in the journal, so that whoever is told its id can ask for it."""
        first = self._first_word[run.id] = asyncio.Event()
        waiting = asyncio.ensure_future(first.wait())
        try:
            await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._first_word[run.id]
            waiting.cancel()

    def _begin(self, run: Run, work: Coroutine[Any, Any, Run]) -> asyncio.Task[Run]:
        task = asyncio.create_task(work, name=f"run {run.id}")
        self._tasks[run.id] = task
        task.add_done_callback(lambda done: self._ended(run.id, done))
        return task

    def _ended(self, run_id: RunId, task: asyncio.Task[Run]) -> None:
        self._tasks.pop(run_id, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.deeds.note(task.result(), self._world.fleet())
            if task.result().state in ENDED:
                vm = task.result().subject
                self._not_before[vm] = _later(self._world.now(), RETRY_S)
            return
        self.deeds.forget(run_id)
        if isinstance(error, YamoriError):
            self._left[run_id] = _later(self._world.now(), RETRY_S)
            log.warning("run %s is left for later: %s", run_id, error)
        else:
            log.error("run %s broke", run_id, exc_info=error)

    async def _resume(self, run: Run) -> Run:
        try:
            async with asyncio.timeout(CONTACT_WAIT_S):
                for keeper in self._world.keepers.values():
                    await keeper.first_contact.wait()
        except TimeoutError:
            # An endpoint that stays silent concerns only its own VMs; the step itself will say so.
            log.warning("run %s goes on before all endpoints were reached", run.id)
        return await self._engine.resume(run.id, self._bind(run, await self._finding(run)))

    async def _finding(self, run: Run) -> Finding | None:
        return None if run.proposal.finding is None else await self._findings.get(run.proposal.finding)

    def _bind(self, run: Run, finding: Finding | None) -> BoundStep:
        verb = run.decision.action.verb
        if verb not in self._steps:
            raise Unsupported(verb, "no module that carries it out is switched on")
        return BoundStep(
            run,
            self._steps[verb](),
            keepers=self._world.keepers,
            fleet=self._world.fleet,
            view=self._world.view,
            holds=self._holds,
            finding_key=None if finding is None else finding.key,
        )

    def _placed(self, proposal: Proposal) -> Proposal:
        action = proposal.action
        if not isinstance(action, Migrate) or action.to is not None:
            return proposal
        fleet = self._world.fleet()
        if action.vm not in fleet.vms:
            raise NotFound("no such VM in the fleet", subject=action.vm)
        return replace(proposal, action=replace(action, to=choose_host(fleet, action.vm, self._world.load())))

    def _facts(self, proposal: Proposal, finding: Finding | None) -> Facts:
        fleet = self._world.fleet()
        policy = self._world.policy()
        vm = fleet.vms.get(proposal.action.vm)
        now = self._world.now()
        return Facts(
            now=now,
            vm=vm,
            host=None if vm is None or vm.host is None else fleet.hosts.get(vm.host),
            sla=None if vm is None else policy.sla_classes().get(vm.labels.get("sla", "")),
            finding=finding,
            in_force=self.deeds.in_force(self._holds.now(), fleet),
            recent=self.deeds.recent(now, policy.brakes.longest_window()),
            kill_switch=self._world.kill_switch(),
        )

    async def _say(self, proposal: Proposal, decision: Decision) -> None:
        key = (proposal.action.vm, proposal.action.verb, decision.rule, decision.verdict.value)
        now = self._world.now()
        last = self._said.get(key)
        if proposal.by.startswith("operator:") or last is None or (now - last).total_seconds() >= SAID_AGAIN_S:
            self._said[key] = now
            await self._rulings.add(proposal, decision, run=None)
            self._on_ruling(proposal, decision, None)


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
