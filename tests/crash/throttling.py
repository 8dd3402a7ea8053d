"""Steps that throttle and release VMs of the world file, bound to their runs as control binds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.crash.world import World
from yamori.control.records import HoldLifted, HoldReverted, HoldTaken
from yamori.manifest.module import Hold
from yamori.model.actions import Release, Throttle
from yamori.model.errors import Conflict, Rejected, Unreachable
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.run import Run, RunState
from yamori.workflow.journal import Fact

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED, FAILS, STUCK = "refused", "fails", "stuck"
"""Reasons of a proposal that make the world disobey: at check, at verify, at verify and at undo."""


@dataclass
class Throttling:
    """One throttle: one effect for each limit, so that a crash can come between two of them."""

    run: Run
    world: World
    hold: Hold | None
    name: str = "throttle"

    @property
    def action(self) -> Throttle:
        assert isinstance(self.run.decision.action, Throttle)
        return self.run.decision.action

    async def check(self) -> Json:
        if self.run.proposal.reason == REFUSED:
            raise Conflict("not now")
        found = self.world.limits(self.action.vm)
        original = {k.value: v for k, v in self.hold.before.items()} if self.hold else {}
        return {
            "limits": {k.value: found.get(k.value) for k in self.action.limits},
            "original": {k.value: original.get(k.value, found.get(k.value)) for k in self.action.limits},
        }

    async def apply(self, before: Json) -> None:
        for kind, value in self.action.limits.items():
            self.world.set(self.action.vm, kind.value, value)

    async def verify(self, before: Json) -> Json:
        seen = self.world.limits(self.action.vm)
        if self.run.proposal.reason in (FAILS, STUCK):
            raise Rejected("the limit does not hold")
        if seen != {k.value: v for k, v in self.action.limits.items()}:
            raise Rejected(f"reads back {seen}")
        return seen

    async def undo(self, before: Json) -> None:
        if self.run.proposal.reason == STUCK:
            raise Unreachable("gone")
        for kind, value in before["limits"].items():
            self.world.set(self.action.vm, kind, value)

    def facts(self, state: RunState, before: Json | None) -> Sequence[Fact]:
        if state is RunState.APPLYING and before is not None:
            hold = Hold(
                vm=self.action.vm,
                before={LimitKind(k): v for k, v in before["original"].items()},
                asked=self.action.limits,
                since=NOW,
                expires_at=NOW + timedelta(seconds=self.action.expires_after_s),
                run=self.run.id,
                finding_key=None,
            )
            return (HoldTaken(hold=hold),)
        if state is RunState.UNDONE:
            return (HoldReverted(vm=self.action.vm, run=self.run.id),)
        return ()


@dataclass
class Releasing:
    run: Run
    world: World
    hold: Hold | None
    name: str = "release"

    @property
    def vm(self) -> VMId:
        assert isinstance(self.run.decision.action, Release)
        return self.run.decision.action.vm

    async def check(self) -> Json:
        if self.hold is None:
            raise Conflict("nothing to release")
        return {
            "limits": {k.value: v for k, v in self.hold.before.items()},
            "held": {k.value: v for k, v in self.hold.asked.items()},
        }

    async def apply(self, before: Json) -> None:
        for kind, value in before["limits"].items():
            self.world.set(self.vm, kind, value)

    async def verify(self, before: Json) -> Json:
        return self.world.limits(self.vm)

    async def undo(self, before: Json) -> None:
        for kind, value in before["held"].items():
            self.world.set(self.vm, kind, value)

    def facts(self, state: RunState, before: Json | None) -> Sequence[Fact]:
        return (HoldLifted(vm=self.vm),) if state is RunState.VERIFIED else ()
