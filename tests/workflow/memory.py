"""A journal, leases and a clock in memory, with faults; and a step that notes what is asked of it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from yamori.model.actions import Throttle
from yamori.model.errors import Conflict, Invalid, NotFound
from yamori.model.ids import RuleId, RunId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import ENDED, JournalEntry, Run, RunState
from yamori.workflow.journal import Fact, fold
from yamori.workflow.lease import Lease
from yamori.workflow.plan import plan

Json = dict[str, Any]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ACTION = Throttle(vm=VMId("v"), limits={LimitKind.CPU_CAP: 0.5}, expires_after_s=60.0)
PROPOSAL = Proposal(action=ACTION, by="guard", reason="because", finding=None, proposed_at=BEGIN)


def decision(verdict: Verdict = Verdict.ALLOW) -> Decision:
    return Decision(verdict=verdict, rule=RuleId("r"), reason="rule", action=ACTION, decided_at=BEGIN)


def new_run() -> Run:
    return plan(VMId("v"), PROPOSAL, decision(), BEGIN)


class HeldClock:
    """Time passes only by sleeping in it."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)


class NoteJournal:
    def __init__(self) -> None:
        self.kept: dict[RunId, Run] = {}
        self.facts: list[Fact] = []
        self.refuses: Exception | None = None
        self.cannot_keep: RunState | None = None

    async def create(self, run: Run, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        if run.id in self.kept:
            raise Conflict("there is such a run already")
        if any(r.subject == run.subject and r.state not in ENDED for r in self.kept.values()):
            raise Conflict("another run is unfinished")
        self.kept[run.id] = fold(run, entry)
        self.facts += facts

    async def append(self, entry: JournalEntry, *, facts: Sequence[Fact] = ()) -> None:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        if entry.state is self.cannot_keep:
            raise Invalid("cannot be kept")
        self.kept[entry.run] = fold(self.kept[entry.run], entry)
        self.facts += facts

    async def run(self, run: RunId) -> Run:
        if run not in self.kept:
            raise NotFound(subject=run)
        return self.kept[run]

    async def runs(self, *, limit: int, subject: str | None = None) -> Sequence[Run]:
        found = [r for r in self.kept.values() if subject in (None, r.subject)]
        return list(reversed(found))[:limit]

    async def unfinished(self) -> Sequence[Run]:
        return [r for r in self.kept.values() if r.state not in ENDED]


class NoteLeases:
    def __init__(self) -> None:
        self.holder: dict[str, Lease] = {}
        self.token = 0
        self.renewals = 0
        self.renewed_often = asyncio.Event()
        self.renew_raises: Exception | None = None
        self.release_raises: Exception | None = None

    async def acquire(self, subject: str, owner: str, ttl_s: float) -> Lease:
        held = self.holder.get(subject)
        if held is not None and held.owner != owner:
            raise Conflict(f"{held.owner} works on it", subject=subject)
        self.token += 1
        self.holder[subject] = Lease(subject=subject, owner=owner, token=self.token)
        return self.holder[subject]

    async def renew(self, lease: Lease, ttl_s: float) -> None:
        if self.renew_raises is not None:
            raise self.renew_raises
        if self.holder.get(lease.subject) != lease:
            raise Conflict("lost")
        self.renewals += 1
        if self.renewals == 5:
            self.renewed_often.set()

    async def release(self, lease: Lease) -> None:
        if self.release_raises is not None:
            raise self.release_raises
        if self.holder.get(lease.subject) == lease:
            del self.holder[lease.subject]


class Script:
    """A step that plays a script: for each phase the errors to raise, one a call, then success."""

    name = "script"

    def __init__(self, **errors: Sequence[BaseException]) -> None:
        self._errors = {phase: list(raised) for phase, raised in errors.items()}
        self.calls: list[str] = []
        self.entered: list[RunState] = []
        self.cannot_say: RunState | None = None
        self.before: Any = {"was": 1}
        self.seen: Any = {"is": 2}
        self.gate: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {}

    def hold(self, phase: str) -> tuple[asyncio.Event, asyncio.Event]:
        """Let a phase stop in the middle. Returns (reached, go on)."""
        self.reached[phase], self.gate[phase] = asyncio.Event(), asyncio.Event()
        return self.reached[phase], self.gate[phase]

    async def _play(self, phase: str) -> None:
        self.calls.append(phase)
        if phase in self.gate:
            self.reached[phase].set()
            await self.gate[phase].wait()
        if self._errors.get(phase):
            raise self._errors[phase].pop(0)

    async def check(self) -> Json:
        await self._play("check")
        return self.before  # type: ignore[no-any-return]

    async def apply(self, before: Json) -> None:
        assert before == self.before
        await self._play("apply")

    async def verify(self, before: Json) -> Json:
        await self._play("verify")
        return self.seen  # type: ignore[no-any-return]

    async def undo(self, before: Json) -> None:
        assert before == self.before
        await self._play("undo")

    def facts(self, state: RunState, before: Json | None) -> Sequence[Fact]:
        if state is self.cannot_say:
            raise KeyError("not said")
        self.entered.append(state)
        return (Fact(),)
