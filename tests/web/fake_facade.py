"""A stand-in for the control plane, in memory, for the tests of the faces only. Counts what would have acted."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.web import scene
from yamori.control.agents import AgentState, AgentView, Invitation
from yamori.control.facade import EndpointView, Event, EventKind, Explanation, KillSwitch, Ruling, Series, VMView
from yamori.manifest.module import Hold
from yamori.model.actions import Action, Migrate, Release, Throttle
from yamori.model.errors import Conflict, NotFound, Unsupported, YamoriError
from yamori.model.finding import Finding
from yamori.model.ids import EndpointName, FindingId, HostId, RunId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.proposal import Decision, Proposal
from yamori.model.run import ENDED, Run, RunState
from yamori.model.secret import Secret
from yamori.model.support import Support


class FakeFacade:
    """``acted`` lists what was asked for. ``raises`` is raised by every method whose name it holds.

    VMs in ``still`` cannot move live.
    """

    def __init__(self, views: Sequence[VMView] | None = None) -> None:
        self.acted: list[tuple[Any, ...]] = []
        self.raises: dict[str, Exception] = {}
        self.still: set[VMId] = set()
        self.told: list[Event] = []
        self.fresh = asyncio.Condition()
        self.listeners = 0
        self._views = {v.vm.id: v for v in (scene.views() if views is None else views)}
        self._switch = KillSwitch(on=False)
        self._findings = scene.findings()
        self._runs = {r.id: r for r in scene.runs()}

    def _maybe_raise(self, method: str) -> None:
        if method in self.raises:
            raise self.raises[method]

    # -- for tests

    def put(self, view: VMView) -> None:
        self._views[view.vm.id] = view

    async def tell(self, kind: EventKind, subject: str, body: dict[str, Any] | None = None) -> None:
        async with self.fresh:
            number = len(self.told) + 1
            self.told.append(
                Event(number=number, kind=kind, at=datetime.now(UTC), subject=subject, body=body or {})
            )
            self.fresh.notify_all()

    # -- the facade

    def endpoints(self) -> Sequence[EndpointView]:
        self._maybe_raise("endpoints")
        return scene.endpoints()

    def vms(self) -> Sequence[VMView]:
        self._maybe_raise("vms")
        return tuple(self._views.values())

    def vm(self, name_or_id: str) -> VMView:
        self._maybe_raise("vm")
        if name_or_id in self._views:
            return self._views[VMId(name_or_id)]
        named = [v for v in self._views.values() if v.vm.name == name_or_id]
        if not named:
            raise NotFound("there is no such VM", subject=name_or_id)
        if len(named) > 1:
            raise Conflict("several VMs have this name", subject=name_or_id, mend="use the id")
        return named[0]

    def history(self, vm: VMId, seconds: float) -> Series:
        return scene.series(self.vm(vm), seconds)

    async def limits(self, vm: VMId) -> Limits:
        self._maybe_raise("limits")
        view = self.vm(vm)
        if view.vm.name == "git":
            raise Unsupported("limits", "this host cannot read them", subject=vm)
        values: dict[LimitKind, float | None] = dict.fromkeys(LimitKind, None)
        for kind in (LimitKind.NET_IN, LimitKind.NET_OUT):
            del values[kind]
        values[LimitKind.CPU_WEIGHT] = 1.0
        values[LimitKind.MEMORY] = float(view.vm.memory_bytes)
        values |= dict(view.hold.asked) if view.hold else {}
        why = "the host's kernel has no traffic control"
        return Limits(values=values, unknown={LimitKind.NET_IN: why, LimitKind.NET_OUT: why})

    def support(self) -> Mapping[EndpointName, Support | None]:
        return scene.support()

    async def findings(self, *, open_only: bool, limit: int) -> Sequence[Finding]:
        self._maybe_raise("findings")
        return [f for f in self._findings if not open_only or f.closed_at is None][:limit]

    async def finding(self, finding: FindingId) -> Finding:
        for found in self._findings:
            if found.id == finding:
                return found
        raise NotFound("there is no such finding", subject=finding)

    async def rulings(self, *, limit: int) -> Sequence[Ruling]:
        return scene.rulings()[:limit]

    async def runs(self, *, limit: int) -> Sequence[Run]:
        newest = sorted(self._runs.values(), key=lambda r: r.created_at, reverse=True)
        return [dataclasses.replace(r, entries=()) for r in newest[:limit]]

    async def run(self, run: RunId) -> Run:
        self._maybe_raise("run")
        if run not in self._runs:
            raise NotFound("there is no such run", subject=run)
        return self._runs[run]

    async def explain(self, run: RunId) -> Explanation:
        found = await self.run(run)
        lines = (
            "guard saw web-2 wait 0.087 s/s for a CPU; promised are at most 0.05 s/s",
            "batch-7 used 1.96 cores, usually 0.21: correlation with the delay 0.93",
            "guard asked to throttle batch-7 to 0.35 cores for 300 s",
            "rule throttle-bronze allowed it: bronze may be throttled for up to 5 min",
            "read back: cpu_cap = 0.35 cores",
        )
        return Explanation(run=found, finding=self._findings[0], lines=lines)

    async def request(self, action: Action, *, by: str, reason: str, dry_run: bool) -> tuple[Decision, Run | None]:
        self._maybe_raise("request")
        self.acted.append((action, by, reason, dry_run))
        view = self.vm(action.vm)
        if isinstance(action, Release) and view.hold is None:
            raise Conflict("no throttle of ours is in force", subject=action.vm)
        now = datetime.now(UTC)
        made = scene.run(len(self._runs) + 4, RunState.PLANNED if dry_run else RunState.VERIFIED)
        proposal = Proposal(action=action, by=f"operator:{by}", reason=reason, finding=None, proposed_at=now)
        decision = dataclasses.replace(scene.decision(), action=action)
        run = dataclasses.replace(
            made, subject=action.vm, proposal=proposal, decision=decision, created_at=now, updated_at=now
        )
        if isinstance(action, Migrate):
            to = action.to or HostId("rack-b")
            decision = dataclasses.replace(decision, action=dataclasses.replace(action, to=to))
            before = {"from": view.vm.host, "to": to, "storage": "shared", "forecast": self._forecast(action)}
            run = dataclasses.replace(run, decision=decision, before=before)
        if not dry_run:
            self._runs[run.id] = run
            self._carry_out(view, action, run)
            await self.tell(EventKind.RUN, action.vm, {"run": run.id, "state": run.state})
        return decision, run

    def _forecast(self, action: Migrate) -> dict[str, Any]:
        if action.vm not in self.still:
            return {"live": True, "downtime_s": 0.3, "why": "the longest pause that a move aims at"}
        if not action.stopping:
            why = "it stands still while 2 GiB are sent"
            raise Unsupported(
                "migration.live", why, subject=action.vm, mend="`stopping` allows that it stands still"
            )
        return {"live": False, "downtime_s": 21.5, "why": "it stands still\x1b while 2 GiB are sent"}

    def _carry_out(self, view: VMView, action: Action, run: Run) -> None:
        if isinstance(action, Throttle):
            hold = Hold(
                vm=view.vm.id,
                before=dict.fromkeys(action.limits),
                asked=action.limits,
                since=run.created_at,
                expires_at=run.created_at + timedelta(seconds=action.expires_after_s),
                run=run.id,
                finding_key=None,
            )
            self.put(dataclasses.replace(view, hold=hold))
        elif isinstance(action, Migrate):
            host = action.to or HostId("rack-b")
            vm = dataclasses.replace(view.vm, host=host)
            self.put(dataclasses.replace(view, vm=vm, endpoint=EndpointName(host)))
        else:
            self.put(dataclasses.replace(view, hold=None))

    async def wait(self, run: RunId) -> Run:
        found = await self.run(run)
        while found.state not in ENDED:
            await asyncio.sleep(0.05)
            found = await self.run(run)
        return found

    async def undo(self, run: RunId, *, by: str) -> Run:
        self._maybe_raise("undo")
        found = await self.run(run)
        if found.state is not RunState.VERIFIED:
            raise Conflict("there is nothing to undo", subject=run)
        self.acted.append(("undo", run, by))
        undone = dataclasses.replace(found, state=RunState.UNDONE, updated_at=datetime.now(UTC))
        self._runs[run] = undone
        self.put(dataclasses.replace(self.vm(found.subject), hold=None))
        await self.tell(EventKind.RUN, found.subject, {"run": run, "state": undone.state})
        return undone

    def kill_switch(self) -> KillSwitch:
        self._maybe_raise("kill_switch")
        return self._switch

    async def throw_kill_switch(self, *, on: bool, by: str, reason: str) -> KillSwitch:
        self._maybe_raise("throw_kill_switch")
        self.acted.append(("kill_switch", on, by, reason))
        self._switch = KillSwitch(on=on, by=f"operator:{by}", reason=reason, since=datetime.now(UTC))
        await self.tell(EventKind.KILL_SWITCH, "modules", {"on": on})
        return self._switch

    async def agents(self) -> Sequence[AgentView]:
        self._maybe_raise("agents")
        return scene.agents()

    async def invite_agent(self, name: str, *, by: str) -> Invitation:
        self._maybe_raise("invite_agent")
        self._agent(name)
        self.acted.append(("invite_agent", name, by))
        return Invitation(
            name=EndpointName(name),
            token=Secret("ya1:rack-b:00:11:22"),
            controller="10.0.0.1:8471",
            command=Secret("yamori agent enrol --controller 10.0.0.1:8471 --token ya1:rack-b:00:11:22"),
            expires_at=scene.NOW + timedelta(hours=1),
        )

    async def revoke_agent(self, name: str, *, by: str, reason: str) -> AgentView:
        self._maybe_raise("revoke_agent")
        found = self._agent(name)
        self.acted.append(("revoke_agent", name, by, reason))
        return dataclasses.replace(found, state=AgentState.REVOKED, connected=False)

    def _agent(self, name: str) -> AgentView:
        for agent in scene.agents():
            if agent.name == name:
                return agent
        raise NotFound("there is no such agent", subject=name)

    async def verify_ledger(self) -> int:
        self._maybe_raise("verify_ledger")
        return 48

    async def ledger(self, *, after: int, limit: int) -> Sequence[dict[str, Any]]:
        kinds = ("finding_raised", "proposed", "decided", "run")
        return [
            {
                "number": n,
                "at": (scene.NOW - timedelta(seconds=48 - n)).isoformat(),
                "kind": kinds[n % 4],
                "body": {"subject": scene.vm_id(3), "summary": "batch-7 takes CPU time from web-2 and mail"},
                "previous": f"{(n - 1) * 2654435761 % 2**64:016x}" * 4,
                "hash": f"{n * 2654435761 % 2**64:016x}" * 4,
            }
            for n in range(after + 1, 49)
        ][:limit]

    async def events(self, *, after: int | None = None) -> AsyncIterator[Event]:
        self.listeners += 1
        told = len(self.told) if after is None else after
        try:
            while True:
                async with self.fresh:
                    await self.fresh.wait_for(lambda: len(self.told) > told)  # noqa: B023  read anew each time
                    news = self.told[told:]
                for event in news:
                    told = event.number
                    yield event
        finally:
            self.listeners -= 1

    def limit_kinds(self, vm: VMId) -> frozenset[LimitKind]:
        self.vm(vm)
        return frozenset(LimitKind) - {LimitKind.NET_IN, LimitKind.NET_OUT}

    def host_of(self, vm: VMId) -> HostId:
        return self.vm(vm).vm.host or HostId("")


def every_error() -> list[YamoriError]:
    """One of each kind, for the table of statuses."""
    from yamori.web.errors import kinds

    made: list[YamoriError] = []
    for kind in dict.fromkeys(kinds()):
        made.append(kind("limits", "cannot") if issubclass(kind, Unsupported) else kind("said"))  # type: ignore[arg-type]
    return made
