"""Plays the whole story: builds the stage, runs the service on it, plays the acts, tells, and clears up."""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from yamori import wiring
from yamori.control.configuration import configure
from yamori.control.facade import Contact, Facade
from yamori.demo.lab import LabStage
from yamori.demo.report import Act, Report
from yamori.demo.settings import SETTINGS
from yamori.demo.simulated import SimulatedStage
from yamori.demo.stage import Progress, Stage
from yamori.demo.story import Story, Tell
from yamori.model.errors import TimedOut
from yamori.workflow.clock import Clock

SIMULATOR = "simulator"
READY_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What `yamori demo` was asked. ``on``: which stage, ``simulator`` or one of SETTINGS.

    ``once``: end by itself; else stay up until ``stop`` after the story. ``kinds`` empty: all it can play.

    ``speed`` (simulator only) is how many seconds pass there in one of ours.
    """

    on: str
    once: bool
    listen: str = "127.0.0.1:0"
    speed: float = 10.0
    seed: int = 1
    kinds: tuple[str, ...] = ()
    state_dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who is told what: lines of the story, progress of the set-up, and the service once it answers."""

    tell: Tell
    progress: Progress
    ready: Callable[[wiring.Service], None]


async def play(options: DemoOptions, audience: Audience, *, stop: asyncio.Event) -> Report:
    """Play, and clear up whatever happens. The report says whether every effect was verified.

    Raises Unsupported or Failed when the stage cannot be built.
    """
    stage: Stage
    clock: Clock | None = None
    if options.on == SIMULATOR:
        stage = simulated = SimulatedStage(speed=options.speed, seed=options.seed)
        clock = simulated.clock
    else:
        stage = LabStage(SETTINGS[options.on])
    report: Report | None = None
    try:
        with _state_dir(options.state_dir) as state_dir:
            await wiring.try_state_dir(state_dir)
            await stage.up(audience.progress)
            async with _service(stage, options, state_dir, clock) as service:
                audience.ready(service)
                await stage.join(service.facade, audience.progress)
                report = await _acts(stage, service.facade, options, audience, stop)
                if not options.once:
                    audience.tell("The story is over; the lab stays up until Ctrl-C.")
                    await stop.wait()
    finally:
        left = await stage.down()
    for each in left:
        audience.tell(f"left behind: {each}")
    return replace(report, left_behind=left)


async def _acts(
    stage: Stage, facade: Facade, options: DemoOptions, audience: Audience, stop: asyncio.Event
) -> Report:
    await _all_reached(stage, facade)
    hosts = {view.vm.host for view in facade.vms()}
    audience.tell(f"{stage.title}: {len(facade.vms())} VMs on {len(hosts)} hosts in view")
    story = Story(facade, stage, audience.tell)
    acts: list[Act] = []
    kinds = options.kinds or tuple(stage.offenders())
    for kind in kinds:
        act = await _unless(stop, story.act(kind))
        if act is None:
            break
        acts.append(act)
        for failure in act.failures:
            audience.tell(f"  NOT VERIFIED: {failure}")
    records = await facade.verify_ledger()
    audience.tell(f"the ledger's {records} records verify")
    missed = tuple(f"the {kind} act was not played" for kind in kinds[len(acts) :])
    return Report(
        stage=stage.title,
        vms=len(facade.vms()),
        hosts=len(hosts),
        acts=tuple(acts),
        ledger_records=records,
        failures=missed,
    )


async def _unless(stop: asyncio.Event, act: Coroutine[None, None, Act]) -> Act | None:
    """Wait for an act to end, or for ``stop``: then break it off."""
    playing = asyncio.ensure_future(act)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return playing.result() if playing.done() else None
    finally:
        for task in (playing, stopped):
            task.cancel()
        await asyncio.gather(playing, stopped, return_exceptions=True)


async def _all_reached(stage: Stage, facade: Facade) -> None:
    deadline = stage.now() + READY_LIMIT_S
    while not all(e.contact is Contact.UP and e.hosts and e.gap is None for e in facade.endpoints()):
        if stage.now() > deadline:
            errors = "; ".join(f"{e.name}: {e.error or e.gap}" for e in facade.endpoints() if e.error or e.gap)
            raise TimedOut(f"not all hosts were reached within {READY_LIMIT_S:.0f} s: {errors}")
        await stage.sleep(0.2)


@contextlib.asynccontextmanager
async def _service(
    stage: Stage, options: DemoOptions, state_dir: Path, clock: Clock | None
) -> AsyncIterator[wiring.Service]:
    async with wiring.service(
        configure(json.dumps(stage.fleet()), "the demo's fleet"),
        policy_text=stage.policy(),
        policy_source="the demo's policy",
        state_dir=state_dir,
        listen=options.listen,
        clock=clock,
    ) as service:
        yield service


@contextlib.contextmanager
def _state_dir(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        yield wanted
        return
    made = Path(tempfile.mkdtemp(prefix="yamori-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)
