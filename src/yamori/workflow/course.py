"""The course of one run under one lease: every phase journaled before and after, forward and back."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from yamori.model.errors import Conflict, Defect, Failed, Interrupted, Invalid, TimedOut, YamoriError
from yamori.model.plain import Json, to_plain
from yamori.model.run import JournalEntry, Run, RunState
from yamori.workflow.clock import Clock
from yamori.workflow.journal import BEFORE, ERROR, SEEN, Fact, Journal, fold
from yamori.workflow.patience import Patience
from yamori.workflow.step import Step

T = TypeVar("T")
LOG = logging.getLogger(__name__)

LONGEST_ERROR = 2_000
"""Characters of an error's text that are kept. It may carry a hypervisor's free text."""
LARGEST_NOTE = 256 * 1024
"""Bytes of what a step may note."""


class Course:
    """One run on its way. Not shared between tasks; what it knows is what the journal has confirmed."""

    def __init__(
        self,
        run: Run,
        step: Step,
        *,
        token: int,
        journal: Journal,
        clock: Clock,
        patience: Patience,
        told: Callable[[Run], None],
    ) -> None:
        self.run = run
        self._step = step
        self._token = token
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._told = told

    async def begin(self) -> None:
        """Write the new run down. Raises Conflict when there is such a run already."""
        entry = self._entry(RunState.PLANNED, {})
        run = fold(self.run, entry)
        await self._journal.create(self.run, entry, facts=self._step.facts(RunState.PLANNED, None))
        self._now(run)

    async def forward(self) -> Run:
        """Go on from where the run stands until it has ended. Raises Interrupted when the lease was lost."""
        if self.run.state is RunState.PLANNED and not await self._check():
            return self.run
        if self.run.state in (RunState.APPLYING, RunState.VERIFYING):
            try:
                await self._carry_out()
            except _StepFailed as failed:
                await self._tell(RunState.FAILED, failed.note())
        if self.run.state in (RunState.FAILED, RunState.UNDOING):
            await self.back({"resumed": True} if self.run.state is RunState.UNDOING else {})
        return self.run

    async def back(self, note: Json) -> Run:
        """Undo what was applied. Raises Interrupted when the lease was lost."""
        before = self._before()
        await self._tell(RunState.UNDOING, note)
        try:
            await self._try(lambda: self._step.undo(before), self._patience.undo_attempts)
        except _StepFailed as failed:
            await self._tell(RunState.ABANDONED, failed.note())
        else:
            await self._tell(RunState.UNDONE, {})
        return self.run

    async def mark_resumed(self) -> None:
        """Note that a new process goes on with this run, unless the next word says it anyway."""
        if self.run.state in (RunState.PLANNED, RunState.APPLYING, RunState.VERIFYING):
            await self._tell(self.run.state, {"resumed": True})

    async def _check(self) -> bool:
        try:
            before, facts = await self._try(self._checked, self._patience.attempts)
            await self._tell(RunState.APPLYING, {BEFORE: before}, facts)
        except _StepFailed as failed:
            # Nothing was changed, hence nothing is to be undone: refused, whatever the reason was.
            await self._tell(RunState.REFUSED, failed.note())
        except Invalid as error:
            # The journal cannot keep what would be true then, so nothing of it was written or done.
            await self._tell(RunState.REFUSED, _StepFailed(error).note())
        return self.run.state is RunState.APPLYING

    async def _carry_out(self) -> None:
        before = self._before()
        if self.run.state is RunState.APPLYING:
            await self._try(lambda: self._step.apply(before), self._patience.attempts)
            await self._tell(RunState.VERIFYING, {})
        seen = await self._try(lambda: self._verified(before), self._patience.attempts)
        await self._tell(RunState.VERIFIED, {SEEN: seen})

    async def _checked(self) -> tuple[Json, Sequence[Fact]]:
        before = _notable(await self._step.check())
        # Asked for within the check: what cannot be said must be refused before anything is done.
        return before, self._step.facts(RunState.APPLYING, before)

    async def _verified(self, before: Json) -> Json:
        return _notable(await self._step.verify(before))

    def _before(self) -> Json:
        if self.run.before is None:
            raise Defect(f"run {self.run.id} is {self.run.state} without a note of what was before")
        return self.run.before

    async def _try(self, act: Callable[[], Awaitable[T]], attempts: int) -> T:
        """Do it, again while the error is transient. Raises _StepFailed with the last error."""
        attempt = 1
        while True:
            try:
                async with asyncio.timeout(self._patience.phase_s):
                    return await act()
            except YamoriError as error:
                failed = _StepFailed(error)
            except TimeoutError:
                failed = _StepFailed(TimedOut(f"no end after {self._patience.phase_s:g} s"))
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                failed = _StepFailed(Interrupted(f"{self._step.name} gave up by itself"))
            except Exception as error:
                # Named edge: a step may be a stranger's code, and the world may be changed already. Whatever it
                # raises, the run must be undone and its subject set free.
                LOG.exception("step %s of run %s broke", self._step.name, self.run.id)
                failed = _StepFailed(Defect(f"{self._step.name}: {type(error).__name__}: {error}"))
            if not failed.error.transient or attempt >= attempts:
                raise failed
            if self.run.entries:
                await self._tell(self.run.state, {"attempt": attempt, **failed.note()})
            await self._clock.sleep(self._patience.pause(attempt))
            attempt += 1

    async def _tell(self, state: RunState, note: Json, facts: Sequence[Fact] | None = None) -> None:
        """Write the next entry; only then is it so. Raises Interrupted when somebody else has taken over."""
        entry = self._entry(state, note)
        run = fold(self.run, entry)
        if facts is None:
            facts = () if state is self.run.state else self._step.facts(state, run.before)
        try:
            await self._journal.append(entry, facts=facts)
        except Conflict as lost:
            raise Interrupted(f"run {run.id} was taken over: {lost.message}", subject=run.subject) from lost
        self._now(run)

    def _entry(self, state: RunState, note: Json) -> JournalEntry:
        return JournalEntry(
            run=self.run.id,
            number=len(self.run.entries),
            state=state,
            step=self._step.name,
            note=note,
            token=self._token,
            at=self._clock.now(),
        )

    def _now(self, run: Run) -> None:
        self.run = run
        self._told(run)


class _StepFailed(Exception):
    """A phase has failed for good. Keeps the step's own error apart from errors of the journal."""

    def __init__(self, error: YamoriError) -> None:
        self.error = error
        super().__init__(str(error))

    def note(self) -> Json:
        # Replaced, not refused: a hypervisor's odd words must not keep the failure out of the journal.
        text = f"{self.error.code}: {self.error}".encode(errors="replace").decode()
        return {ERROR: text[:LONGEST_ERROR], "code": self.error.code, "transient": self.error.transient}


def _notable(untrusted_note: Json) -> Json:
    """Turn what a step noted into JSON that the journal can keep. Raises Invalid, Failed."""
    plain = to_plain(untrusted_note)
    if not isinstance(plain, dict):
        raise Invalid("a step must note a JSON object")
    if len(json.dumps(plain)) > LARGEST_NOTE:
        raise Failed(f"the step's note is larger than {LARGEST_NOTE} bytes")
    return plain
