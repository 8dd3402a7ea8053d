"""Carries out runs: durable, one at a time for each subject, undone when they fail, resumed after a crash."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from yamori.model.errors import Conflict, Defect, Failed, Interrupted, NotPermitted
from yamori.model.ids import RunId
from yamori.model.plain import to_plain
from yamori.model.proposal import Verdict
from yamori.model.run import ENDED, Run, RunState
from yamori.workflow.clock import Clock, SystemClock
from yamori.workflow.course import Course
from yamori.workflow.journal import Journal
from yamori.workflow.lease import Lease, Leases
from yamori.workflow.patience import Patience
from yamori.workflow.step import Step

LOG = logging.getLogger(__name__)

UNDOABLE = frozenset({RunState.VERIFIED, RunState.ABANDONED})
"""The ended states that can be undone on request. ABANDONED: once a human has cleared what was in the way."""


def _nobody(_: Run) -> None:
    """Tell nobody."""


class Engine:
    """Runs steps under leases. ``owner`` is an identity that at most one living process has.

    ``told`` is called with the run after each journaled entry; it must neither block nor raise.
    A cancelled call leaves its run unfinished in the journal, with the lease given back: resume it later.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        leases: Leases,
        owner: str,
        clock: Clock | None = None,
        patience: Patience | None = None,
        told: Callable[[Run], None] = _nobody,
    ) -> None:
        self._journal = journal
        self._leases = leases
        self._owner = owner
        self._clock = clock or SystemClock()
        self._patience = patience or Patience()
        self._told = told
        self._at_work: set[str] = set()

    @property
    def at_work(self) -> frozenset[str]:
        """The subjects that this engine works on now."""
        return frozenset(self._at_work)

    async def dry_run(self, run: Run, step: Step) -> Run:
        """Only check. Nothing is written; the run comes back PLANNED with ``before``. Raises Refused, Failed."""
        return replace(run, before=to_plain(await step.check()))

    async def execute(self, run: Run, step: Step) -> Run:
        """Carry out a new run to its end: VERIFIED, REFUSED, UNDONE or ABANDONED.

        Raises NotPermitted unless the decision allows, Conflict when the subject is being worked on or the
        run exists, Interrupted when the lease was lost (the run is somebody else's now).
        """
        if run.decision.verdict is not Verdict.ALLOW:
            raise NotPermitted(f"{run.decision.verdict}: {run.decision.reason}", subject=run.subject)
        if run.state is not RunState.PLANNED or run.entries:
            raise Defect(f"run {run.id} is not new")

        async def work(lease: Lease) -> Run:
            course = self._course(run, step, lease)
            await course.begin()
            return await course.forward()

        return await self._under_lease(run.subject, work)

    async def resume(self, run: RunId, step: Step) -> Run:
        """Go on with a run that a crash or a cancellation left unfinished; return an ended one as it is.

        Raises NotFound, Conflict when another engine works on the subject, Interrupted.
        """
        known = await self._journal.run(run)

        async def work(lease: Lease) -> Run:
            course = self._course(await self._journal.run(run), step, lease)
            if course.run.state in ENDED:
                return course.run
            await course.mark_resumed()
            return await course.forward()

        return known if known.state in ENDED else await self._under_lease(known.subject, work)

    async def undo(self, run: RunId, step: Step, *, by: str) -> Run:
        """Undo a run that is VERIFIED, or was ABANDONED. It ends UNDONE or ABANDONED.

        Raises NotFound, Conflict when there is nothing to undo or the subject is being worked on, Interrupted.
        """
        known = await self._journal.run(run)

        async def work(lease: Lease) -> Run:
            course = self._course(await self._journal.run(run), step, lease)
            if course.run.state not in UNDOABLE:
                raise Conflict(f"run {run} is {course.run.state}: there is nothing to undo", subject=run)
            return await course.back({"by": by})

        return await self._under_lease(known.subject, work)

    def _course(self, run: Run, step: Step, lease: Lease) -> Course:
        return Course(
            run,
            step,
            token=lease.token,
            journal=self._journal,
            clock=self._clock,
            patience=self._patience,
            told=self._told,
        )

    async def _under_lease(self, subject: str, work: Callable[[Lease], Awaitable[Run]]) -> Run:
        # The lease of an owner is taken over by the same owner, so this set is what keeps two runs of one
        # engine apart; the lease keeps engines apart.
        if subject in self._at_work:
            raise Conflict("another run is under way", subject=subject)
        self._at_work.add(subject)
        try:
            lease = await self._leases.acquire(subject, self._owner, self._patience.ttl_s)
            try:
                return await self._while_held(lease, work)
            finally:
                await self._give_back(lease)
        finally:
            self._at_work.discard(subject)

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._leases.release(lease)
        except Failed as error:
            # It runs out by itself; the run's own result must not be lost over it.
            LOG.warning("the lease on %s was not given back: %s", lease.subject, error)

    async def _while_held(self, lease: Lease, work: Callable[[Lease], Awaitable[Run]]) -> Run:
        """Work for as long as the lease is ours. Raises Interrupted when it was lost."""

        async def run_it() -> Run:
            return await work(lease)

        worker = asyncio.create_task(run_it(), name=f"run on {lease.subject}")
        keeper = asyncio.create_task(self._keep(lease), name=f"lease on {lease.subject}")
        try:
            await asyncio.wait({worker, keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (worker, keeper):
                task.cancel()
            await asyncio.gather(worker, keeper, return_exceptions=True)
        if worker.cancelled():
            raise Interrupted("the lease was lost", subject=lease.subject)
        return worker.result()

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease again and again; return when it is lost, or may be for all that is known."""
        held_since = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._patience.ttl_s / 3)
            asked_at = self._clock.monotonic()
            renewal = asyncio.ensure_future(self._leases.renew(lease, self._patience.ttl_s))
            renewal.add_done_callback(_forget)
            # Waiting must end with the lease: a store that hangs does not stop somebody else from taking over.
            await asyncio.wait({renewal}, timeout=max(0.0, held_since + self._patience.ttl_s - asked_at))
            if not renewal.done():
                return
            try:
                renewal.result()
            except Conflict:
                return
            except Failed:
                if self._clock.monotonic() - held_since >= self._patience.ttl_s:
                    return
            else:
                held_since = asked_at


def _forget(renewal: "asyncio.Future[None]") -> None:
    """Take the outcome of a renewal, which perhaps nobody waits for any more."""
    if not renewal.cancelled():
        renewal.exception()
