"""What control needs remembered beyond runs: findings, rulings, holds, readings. Fulfilled by the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.control.facade import Ruling
from yamori.manifest.module import Hold
from yamori.model.finding import Finding
from yamori.model.ids import FindingId, RunId, VMId
from yamori.model.proposal import Decision, Proposal
from yamori.model.vm import VM
from yamori.workflow.journal import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTaken(Fact):
    """From now on this hold is in force. One that was in force on the VM is kept beneath it."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReverted(Fact):
    """The hold that this run took is no more; the one beneath it, if any, is in force again."""

    vm: VMId
    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLifted(Fact):
    """The VM has its own limits back: no hold of ours is left, nor any beneath."""

    vm: VMId


class Holds(Protocol):
    """The throttles in force. They change only by facts, in the transaction of the run that changes them."""

    def now(self) -> Mapping[VMId, Hold]:
        """Return the holds in force, from memory: as they were after the last write by this process."""
        ...

    async def read(self) -> Mapping[VMId, Hold]:
        """Read the holds in force afresh."""
        ...

    async def beneath(self, run: RunId) -> Hold | None:
        """Return the hold that the hold of a run replaced: what ``StepContext.hold`` was when it began."""
        ...


class Findings(Protocol):
    """Judged facts. Raising, changing and closing one is on the ledger in the same transaction."""

    async def upsert(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Write findings in one transaction and return them as stored, in the same order.

        An open finding with the same key is the same trouble: its id and ``opened_at`` stay. One that is
        closed stays closed: the same trouble again is a new finding, with a new id even if it came with the old.
        """
        ...

    async def open(self) -> Sequence[Finding]:
        """List all open findings, oldest first."""
        ...

    async def list(self, *, open_only: bool, limit: int) -> Sequence[Finding]:
        """List findings, newest first."""
        ...

    async def get(self, finding: FindingId) -> Finding:
        """Return one finding. Raises NotFound."""
        ...


class Rulings(Protocol):
    """Decisions with their proposals. Each is on the ledger, as proposed and as decided, in one transaction."""

    async def add(self, proposal: Proposal, decision: Decision, *, run: RunId | None) -> Ruling:
        """Record a decision; ``run`` is the run that it will lead to, if it allows."""
        ...

    async def list(self, *, limit: int) -> Sequence[Ruling]:
        """List decisions, newest first."""
        ...

    async def of_run(self, run: RunId) -> Ruling:
        """Return the decision that led to a run. Raises NotFound."""
        ...


class Recorder(Protocol):
    """Keeps readings for ``yamori policy replay``. Losing the last ones in a crash is no harm."""

    async def append(self, frame: UsageFrame, vms: Sequence[VM]) -> None:
        """Record one reading of the fleet. ``vms`` is the inventory as known at that moment."""
        ...
