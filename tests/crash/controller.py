"""A small controller: it takes up what a dead one left, then does what its story says. Killable anywhere."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as SQLEngine
from sqlalchemy import event

from tests.crash.throttling import NOW, Releasing, Throttling
from tests.crash.world import World
from yamori.model.actions import Release, Throttle
from yamori.model.errors import NotFound
from yamori.model.ids import RuleId, RunId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import Run, RunState
from yamori.store import Store, open_store
from yamori.store.database import Database
from yamori.workflow.engine import Engine
from yamori.workflow.patience import Patience

CAP, IOPS, MEMORY = LimitKind.CPU_CAP, LimitKind.DISK_IOPS, LimitKind.MEMORY
UNDO = "undo"


@dataclass(frozen=True)
class Act:
    """One line of a story: a throttle, a release, or the undoing of an earlier line."""

    run: str
    vm: str = "v"
    limits: tuple[tuple[LimitKind, float], ...] = ()
    reason: str = "because"
    undoes: bool = False


Story = Sequence[Act]
TWO = ((CAP, 0.5), (IOPS, 100.0))
STORIES: dict[str, Story] = {
    "throttled and released": (Act("r1", limits=TWO), Act("r2")),
    "fails and is undone": (Act("r1", limits=TWO, reason="fails"),),
    "replaced by one that fails": (Act("r1", limits=TWO), Act("r2", limits=((CAP, 0.1),), reason="fails")),
    "undone by an operator": (Act("r1", limits=TWO), Act("r1", undoes=True)),
    "cannot be undone": (Act("r1", limits=TWO, reason="stuck"),),
    "refused, then throttled": (Act("r0", limits=TWO, reason="refused"), Act("r1", limits=TWO)),
}


class Mortality:
    """Counts the points where a crash could come, and dies by SIGKILL at the one that it was told."""

    def __init__(self, at: int) -> None:
        self.passed = 0
        self._at = at

    def point(self, _: str) -> None:
        if self.passed == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def watch_the_store(self) -> None:
        """Every transaction gets two points: just before its commit, and just after. Between the second and the
        next transaction only effects change what lasts, and those have points of their own."""
        event.listen(SQLEngine, "commit", lambda _: self.point("before commit"))
        write = Database.write

        async def watched(database: Database, work: Callable[..., Any], **more: Any) -> Any:
            result = await write(database, work, **more)
            self.point("after write")
            return result

        Database.write = watched  # type: ignore[method-assign,assignment]

    def watch_files(self) -> None:
        """Before and after a secret is linked into place."""
        link = os.link

        def watched(source: Path, target: Path) -> None:
            self.point("before link")
            link(source, target)
            self.point("after link")

        os.link = watched  # type: ignore[assignment]


def planned(act: Act) -> Run:
    action: Throttle | Release
    if act.limits:
        action = Throttle(vm=VMId(act.vm), limits=dict(act.limits), expires_after_s=60.0)
    else:
        action = Release(vm=VMId(act.vm))
    decision = Decision(verdict=Verdict.ALLOW, rule=RuleId("r"), reason="rule", action=action, decided_at=NOW)
    return Run(
        id=RunId(act.run),
        subject=VMId(act.vm),
        proposal=Proposal(action=action, by="guard", reason=act.reason, finding=None, proposed_at=NOW),
        decision=decision,
        state=RunState.PLANNED,
        before=None,
        seen=None,
        error=None,
        created_at=NOW,
        updated_at=NOW,
    )


async def bound(run: Run, store: Store, world: World) -> Throttling | Releasing:
    hold = store.holds.now().get(run.subject)
    if hold is not None and hold.run == run.id:
        hold = await store.holds.beneath(run.id)
    kind = Throttling if isinstance(run.decision.action, Throttle) else Releasing
    return kind(run, world, hold)


async def perform(act: Act, store: Store, engine: Engine, world: World) -> None:
    """Bring one line of the story about, unless an earlier life has."""
    run = planned(act)
    try:
        known = await store.journal.run(run.id)
    except NotFound:
        try:
            await store.rulings.of_run(run.id)
        except NotFound:
            await store.rulings.add(run.proposal, run.decision, run=run.id)
        await engine.execute(run, await bound(run, store, world))
        return
    if act.undoes and known.state is RunState.VERIFIED:
        await engine.undo(run.id, await bound(known, store, world), by="operator:me")


PATIENCE = Patience(attempts=2, undo_attempts=2, pause_s=0.0, ttl_s=15.0)


async def live(state: Path, stories: Sequence[Story], world: World) -> None:
    """Finish what is unfinished, then live all stories at once."""
    store = await open_store(state)
    engine = Engine(journal=store.journal, leases=store.leases, owner=store.claim(), patience=PATIENCE)
    for run in await store.journal.unfinished():
        await engine.resume(run.id, await bound(run, store, world))

    async def tell(story: Story) -> None:
        for act in story:
            await perform(act, store, engine, world)

    async with asyncio.TaskGroup() as tellers:
        for story in stories:
            tellers.create_task(tell(story))
    await store.close()


def one_life(state: str, world: str, story: Story, kill_at: int = -1) -> int:
    """Live once, in this process. Returns how many points were passed."""
    return many_at_once(state, world, [story], kill_at)


def many_at_once(state: str, world: str, stories: Sequence[Story], kill_at: int = -1) -> int:
    """Live several stories at once, in this process. Returns how many points were passed."""
    mortality = Mortality(kill_at)
    mortality.watch_the_store()
    asyncio.run(live(Path(state), stories, World(Path(world), mortality.point)))
    return mortality.passed
