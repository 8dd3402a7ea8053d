"""The loop: readings in, judgements out. One tick = one moment of the whole fleet, judged by every module."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from yamori.capabilities.sensing.usage import UsageFrame, merge
from yamori.control.dispatcher import Dispatcher, World
from yamori.control.duplicates import Duplicates
from yamori.control.events import Events
from yamori.control.facade import Contact, EventKind
from yamori.control.gauge import Gauge
from yamori.control.history import History
from yamori.control.keeper import Keeper
from yamori.control.records import Findings, Recorder
from yamori.control.seat import Seat
from yamori.control.sensors import MomentSensors
from yamori.model.actions import Migrate
from yamori.model.errors import Failed, Refused, YamoriError
from yamori.model.finding import Finding
from yamori.model.ids import HostId, VMId
from yamori.model.plain import to_plain
from yamori.model.proposal import Proposal

log = logging.getLogger(__name__)

GRACE = 0.6
"""Fraction of a tick that the loop waits for the slower endpoints; a later reading counts at the next tick."""


class Loop:
    """Judges the fleet once per tick and hands proposals to the dispatcher."""

    def __init__(
        self,
        *,
        tick_s: float,
        world: World,
        seats: Sequence[Seat],
        dispatcher: Dispatcher,
        findings: Findings,
        recorder: Recorder | None,
        gauge: Gauge,
        history: History,
        events: Events,
        on_duplicate: Callable[[VMId, tuple[HostId, ...]], None],
    ) -> None:
        self._tick_s = tick_s
        self._world = world
        self._seats = seats
        self._dispatcher = dispatcher
        self._findings = findings
        self._recorder = recorder
        self._gauge = gauge
        self._history = history
        self._events = events
        self._on_duplicate = on_duplicate
        self._duplicates = Duplicates()
        self._fresh: set[str] = set()
        self._arrived = asyncio.Event()
        self._failing: set[str] = set()

    def reading(self, keeper: Keeper) -> None:
        """Note that an endpoint has been read, or could not be."""
        self._fresh.add(keeper.name)
        self._arrived.set()

    async def run(self) -> None:
        """Judge until cancelled."""
        while True:
            began = time.monotonic()
            for keeper in self._world.keepers.values():
                keeper.read_soon()
            await self._gather()
            try:
                await self._tick()
            except Failed as error:
                # The store may be busy or its disk full for a while: the next tick sees the fleet afresh.
                log.error("this tick was lost: %s", error)  # noqa: TRY400  the cause is in the text
            await asyncio.sleep(max(0.0, self._tick_s - (time.monotonic() - began)))

    async def _gather(self) -> None:
        """Wait a moment for the readings of all endpoints that are up."""
        try:
            async with asyncio.timeout(self._tick_s * GRACE):
                while not self._all_fresh():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return

    def _all_fresh(self) -> bool:
        """Say whether everybody who can be expected to answer has; an endpoint that is down is not waited for."""
        return bool(self._fresh) and all(
            k.name in self._fresh for k in self._world.keepers.values() if k.contact is Contact.UP
        )

    async def _tick(self) -> None:
        began = time.monotonic()
        now = self._world.now()
        frame, missing = self._moment()
        columns = self._gauge.follow(frame)
        self._history.add(now.timestamp(), frame.vms, columns)
        sensors = MomentSensors(frame, self._world.view(), missing)
        for seat in self._seats:
            await self._judge(seat, sensors)
        await self._dispatcher.pick_up()
        await self._dispatcher.release_expired()
        self._look_for_duplicates()
        if self._recorder is not None:
            try:
                await self._recorder.append(frame, tuple(self._world.fleet().vms.values()))
            except YamoriError as error:
                log.warning("this reading was not recorded: %s", error)
        self._events.tell(
            EventKind.TICK,
            "fleet",
            {"vms": len(frame.vms), "missing": dict(missing), "cost_s": round(time.monotonic() - began, 6)},
        )

    def _moment(self) -> tuple[UsageFrame, Mapping[HostId, str]]:
        fresh, self._fresh = self._fresh, set()
        frames = []
        missing: dict[HostId, str] = {}
        for keeper in sorted(self._world.keepers.values(), key=lambda k: k.name):
            if keeper.name in fresh and keeper.frame is not None:
                frames.append(keeper.frame)
                continue
            why = (
                keeper.error
                or keeper.gap
                or ("it reports no usage" if keeper.session.sensing.usage is None else "no reading yet")
            )
            hosts = [host.id for host in keeper.listing.hosts] or [HostId(keeper.name)]
            missing.update(dict.fromkeys(hosts, why))
        return merge(frames, self._world.now()), missing

    async def _judge(self, seat: Seat, sensors: MomentSensors) -> None:
        judged = await seat.judge(sensors)
        name = seat.manifest.name
        if judged.failed is not None:
            if name not in self._failing:
                self._failing.add(name)
                self._events.tell(EventKind.MODULE, name, {"failed": judged.failed})
            return
        if name in self._failing:
            self._failing.discard(name)
            self._events.tell(EventKind.MODULE, name, {"failed": None})
        if not judged.findings:
            return
        # As stored, a finding may bear the id that the same trouble got at an earlier tick.
        stored = dict(
            zip((f.id for f in judged.findings), await self._findings.upsert(judged.findings), strict=True)
        )
        for finding in stored.values():
            self._tell(finding)
        for proposal in judged.proposals:
            await self._propose(proposal, None if proposal.finding is None else stored.get(proposal.finding))

    def _tell(self, finding: Finding) -> None:
        if finding.closed_at is not None:
            kind = EventKind.FINDING_CLOSED
        elif finding.opened_at == finding.updated_at:
            kind = EventKind.FINDING_RAISED
        else:
            kind = EventKind.FINDING_UPDATED
        body: dict[str, Any] = to_plain(finding)
        self._events.tell(kind, finding.id, body)

    async def _propose(self, proposal: Proposal, finding: Finding | None) -> None:
        if proposal.action.vm in self._dispatcher.busy():
            return
        if finding is not None:
            proposal = replace(proposal, finding=finding.id)
        try:
            await self._dispatcher.submit(proposal, finding)
        except Refused as refused:
            level = logging.INFO if isinstance(proposal.action, Migrate) else logging.WARNING
            log.log(level, "%s of %s was refused: %s", proposal.action.verb, proposal.action.vm, refused)

    def _look_for_duplicates(self) -> None:
        fleet = self._world.fleet()
        moving = self._dispatcher.busy()
        for vm, where in self._duplicates.look({v: w for v, w in fleet.twice.items() if v not in moving}):
            self._on_duplicate(vm, where)
        for name in {
            fleet.endpoint_of[h] for hosts in fleet.twice.values() for h in hosts if h in fleet.endpoint_of
        }:
            self._world.keepers[name].list_soon()
