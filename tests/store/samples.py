"""Values to store, and a clock that a test sets."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from yamori.manifest.module import Hold
from yamori.model.actions import Throttle
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.ids import FindingId, HostId, RuleId, RunId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import JournalEntry, Run, RunState
from yamori.workflow.lease import Lease
from yamori.workflow.plan import plan

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
VM = VMId("v")
ACTION = Throttle(vm=VM, limits={LimitKind.CPU_CAP: 0.5}, expires_after_s=60.0)
PROPOSAL = Proposal(action=ACTION, by="guard", reason="because", finding=FindingId("f"), proposed_at=BEGIN)
DECISION = Decision(verdict=Verdict.ALLOW, rule=RuleId("r"), reason="rule", action=ACTION, decided_at=BEGIN)


class SteppedClock:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


def new_run(subject: str = VM) -> Run:
    return plan(VMId(subject), PROPOSAL, DECISION, BEGIN)


def entry(run: Run | RunId, number: int, state: RunState, lease: Lease, **note: Any) -> JournalEntry:
    run_id = run.id if isinstance(run, Run) else run
    return JournalEntry(run=run_id, number=number, state=state, step="s", note=note, token=lease.token, at=BEGIN)


def finding(number: int = 1, **changes: Any) -> Finding:
    return replace(
        Finding(
            id=FindingId(f"f{number}"),
            key=f"key{number}",
            module="guard",
            kind="noisy",
            severity=Severity.HIGH,
            confidence=0.75,
            summary="burns",
            host=HostId("h"),
            cause=VM,
            victims=(VMId("a"),),
            resource="cpu",
            nature="attack",
            evidence=(Evidence(what="cpu", subject="v", value=1.5, unit="cores"),),
            coverage=Coverage(examined=1, of=2),
            opened_at=BEGIN,
            updated_at=BEGIN,
        ),
        **changes,
    )


def hold(run: str, vm: str = VM, cap: float = 0.5) -> Hold:
    return Hold(
        vm=VMId(vm),
        before={LimitKind.CPU_CAP: None},
        asked={LimitKind.CPU_CAP: cap},
        since=BEGIN,
        expires_at=BEGIN + timedelta(seconds=60),
        run=run,
        finding_key=None,
    )
