"""A run: one approved action, carried out step by step, with every word of the journal."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from yamori.model.ids import RunId, VMId
from yamori.model.proposal import Decision, Proposal


class RunState(StrEnum):
    """Where a run stands. VERIFIED, REFUSED, UNDONE and ABANDONED are ends.

    FAILED means that apply or verify failed and undoing has not succeeded yet: it is tried again at resume.
    ABANDONED means that undoing failed for good; a human must look.
    """

    PLANNED = "planned"
    APPLYING = "applying"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    REFUSED = "refused"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    ABANDONED = "abandoned"


ENDED = frozenset({RunState.VERIFIED, RunState.REFUSED, RunState.UNDONE, RunState.ABANDONED})


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One word of a run's journal, written before and after each effect. ``number`` counts from 0 within the run.

    ``token`` is the fencing token of the lease under which it was written.
    """

    run: RunId
    number: int
    state: RunState
    step: str
    note: dict[str, Any]
    token: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as the journal tells it. ``before`` is what undoing needs, ``seen`` what verify read back."""

    id: RunId
    subject: VMId
    proposal: Proposal
    decision: Decision
    state: RunState
    before: dict[str, Any] | None
    seen: dict[str, Any] | None
    error: str | None
    created_at: datetime
    updated_at: datetime
    entries: tuple[JournalEntry, ...] = ()
