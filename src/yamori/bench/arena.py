"""A small closed loop for measuring the guard: simulated world, readings, judgement, and steps that act.

Not the control plane: no policy, no journal. Every proposal is carried out at once by the module's own steps.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from yamori.capabilities.sensing.usage import UsageFrame, merge
from yamori.drivers.simulator import SimulatorSession, World
from yamori.manifest.module import FleetView, Hold, Sensors, StepContext
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import YamoriError
from yamori.model.finding import Finding
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.support import Level, Support
from yamori.model.vm import VM
from yamori.modules.guard import MODULE
from yamori.modules.guard.settings import GuardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What happened in one tick. ``done`` are the actions carried out, ``failed`` says why others were not."""

    at: float
    findings: tuple[Finding, ...]
    proposals: tuple[Proposal, ...]
    done: tuple[Throttle | Release | Migrate, ...]
    failed: tuple[str, ...]
    holds: Mapping[VMId, Hold]
    frame: UsageFrame


@dataclass(slots=True)
class _Moment:
    frame: UsageFrame
    seen: FleetView
    lost: Mapping[HostId, str]

    def usage(self) -> UsageFrame:
        return self.frame

    def view(self) -> FleetView:
        return self.seen

    def missing(self) -> Mapping[HostId, str]:
        return self.lost


@dataclass(slots=True)
class Arena:
    """A world, one endpoint for each host, and the guard. ``act`` False only observes."""

    world: World
    settings: GuardSettings = field(default_factory=GuardSettings)
    act: bool = True
    without: Mapping[str, str] = field(default_factory=dict)
    holds: dict[VMId, Hold] = field(default_factory=dict)
    drifted: set[VMId] = field(default_factory=set)
    moving: dict[VMId, "asyncio.Task[str]"] = field(default_factory=dict)
    sessions: dict[HostId, SimulatorSession] = field(default_factory=dict)
    _support: dict[HostId, Support] = field(default_factory=dict)
    _memory: object = field(default_factory=MODULE.memory)
    _known: tuple[int, Mapping[VMId, VM]] = (-1, {})

    async def open(self) -> None:
        """Connect to every host."""
        for name in self.world.hardware.names:
            session = SimulatorSession(self.world, EndpointName(name), hosts=[name], without=dict(self.without))
            self.sessions[HostId(name)] = session
            self._support[HostId(name)] = await session.probe()

    async def tick(self, seconds: float) -> Told:
        """Let time pass, read, judge, act."""
        self.world.advance(seconds)
        for _ in range(3):
            await asyncio.sleep(0)
        moment = await self._look()
        proposals: list[Proposal] = []
        findings: list[Finding] = []
        async for observation in MODULE.sense(_sensors(moment), self.settings):
            self._memory, found = MODULE.assess(observation, self._memory, self.settings)
            findings.extend(found)
        for finding in findings:
            proposals.extend(MODULE.respond(finding, moment.seen, self.settings))
        keys: dict[str, str] = {finding.id: finding.key for finding in findings}
        done: list[Throttle | Release | Migrate] = []
        failed: list[str] = []
        for proposal in proposals if self.act else ():
            error = await self._carry_out(proposal, moment.seen, keys.get(proposal.finding or ""))
            if error is None:
                done.append(proposal.action)
            else:
                failed.append(error)
        return Told(
            at=self.world.clock.now,
            findings=tuple(findings),
            proposals=tuple(proposals),
            done=tuple(done),
            failed=tuple(failed),
            holds=dict(self.holds),
            frame=moment.frame,
        )

    async def _look(self) -> _Moment:
        frames, lost = [], {}
        for host, session in self.sessions.items():
            try:
                usage = session.sensing.usage
                if usage is not None:
                    frames.append(await usage.read())
            except YamoriError as error:
                lost[host] = str(error)
        for vm in [vm for vm, task in self.moving.items() if task.done()]:
            del self.moving[vm]
        return _Moment(frame=merge(frames, self.world.clock.wall), seen=await self._view(), lost=lost)

    async def _view(self) -> FleetView:
        if self._known[0] != self.world.layout:
            found: dict[VMId, VM] = {}
            for session in self.sessions.values():
                try:
                    found.update({vm.id: vm for vm in (await session.sensing.inventory.read()).vms})
                except YamoriError:
                    found.update({k: v for k, v in self._known[1].items() if k not in found})
            self._known = (self.world.layout, found)
        return FleetView(
            now=self.world.clock.wall,
            vms=self._known[1],
            classes=STANDARD_CLASSES,
            holds=dict(self.holds),
            kinds={host: _kinds(support) for host, support in self._support.items()},
            can_migrate=frozenset(
                h for h, s in self._support.items() if s.cells["migration.live"].level is Level.NATIVE
            ),
            moving=frozenset(self.moving),
            drifted=frozenset(self.drifted),
        )

    async def _carry_out(self, proposal: Proposal, view: FleetView, key: str | None) -> str | None:
        """Run check, apply and verify of one action. Returns why it failed, None if it did not."""
        action = proposal.action
        host = view.vms[action.vm].host
        if host is None or action.vm in self.moving:
            return "busy"
        session = self.sessions[host]
        steps = MODULE.carries_out[action.verb]()
        if isinstance(action, Migrate):
            return await self._move(action, host, view)
        context = StepContext(
            key=f"{action.verb}-{self.world.clock.now}",
            sensing=session.sensing,
            acting=session.acting,
            view=view,
            hold=self.holds.get(action.vm),
        )
        try:
            before = await steps.check(action, context)
            await steps.apply(action, before, context)
            await steps.verify(action, before, context)
        except YamoriError as error:
            return f"{action.verb}: {error}"
        if isinstance(action, Release):
            self.holds.pop(action.vm, None)
        else:
            self.holds[action.vm] = Hold(
                vm=action.vm,
                before={LimitKind(k): v for k, v in before["hold"]["before"].items()},
                asked=dict(action.limits),
                since=view.now,
                expires_at=view.now + timedelta(seconds=action.expires_after_s),
                run=context.key,
                finding_key=key,
            )
        return None

    async def _move(self, action: Migrate, host: HostId, view: FleetView) -> str | None:
        others = [h for h in self.sessions if h != host]
        load = {h: sum(1 for vm in view.vms.values() if vm.host == h) for h in others}
        to = min(others, key=lambda h: load[h])
        landing = self.sessions[to].acting.migration
        if landing is None:
            return "no landing"
        chosen = Migrate(vm=action.vm, to=to)
        context = StepContext(
            key=f"move-{self.world.clock.now}",
            sensing=self.sessions[host].sensing,
            acting=self.sessions[host].acting,
            view=view,
            landing=await landing.landing(action.vm, to),
            destination=self.sessions[to].sensing,
        )
        self.moving[action.vm] = asyncio.create_task(_moved(chosen, context))
        await asyncio.sleep(0)
        return None

    async def close(self) -> None:
        """Let go of the sessions and of moves under way."""
        for task in self.moving.values():
            task.cancel()
        await asyncio.gather(*self.moving.values(), return_exceptions=True)
        for session in self.sessions.values():
            await session.close()


def _sensors(moment: _Moment) -> Sensors:
    return moment


def _kinds(support: Support) -> frozenset[LimitKind]:
    there = {name for name, cell in support.cells.items() if cell.level is Level.NATIVE}
    return frozenset(kind for kind in LimitKind if f"limits.{kind}" in there)


async def _moved(action: Migrate, context: StepContext) -> str:
    steps = MODULE.carries_out[Migrate.verb]()
    try:
        before = await steps.check(action, context)
        await steps.apply(action, before, context)
        await steps.verify(action, before, context)
    except YamoriError as error:
        return str(error)
    return ""


def contentions(findings: Sequence[Finding]) -> list[Finding]:
    """Return those findings that name a cause of suffering."""
    return [f for f in findings if f.kind == "contention"]
