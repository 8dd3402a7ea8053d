"""Keeps this agent connected: dials out, answers, renews its certificate, backs off when nobody answers."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from yamori import __version__
from yamori.agent.protocol.calls import CallName, Renewed, taken
from yamori.agent.protocol.events import Offered, Opened
from yamori.agent.protocol.line import Handler, Line
from yamori.agent.protocol.messages import HIGHEST, LOWEST, Hello
from yamori.agent.protocol.tls import agent_context
from yamori.agent.protocol.wire import Role, Wire
from yamori.agent.service.condition import Condition
from yamori.agent.service.enrolling import dial
from yamori.agent.service.identity import Identity, IdentityFile, apply, with_controller
from yamori.model.errors import NotFound, Unreachable, YamoriError

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 20.0
"""Between two attempts while the controller cannot be reached."""
REFUSED_WAIT_S = 60.0
"""The same when it answers and refuses: that mends itself by a human only."""
STEADY_S = 30.0
"""A connection that held so long was a good one: the next wait is short again."""
RENEW_CALL_S = 20.0
RENEW_LOOK_S = 30.0
RENEW_AGAIN_S = 60.0
SKEW_S = 60.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what names the monotonic clock of this machine."""
    try:
        return BOOT.read_text(encoding="ascii").strip()[:64]
    except OSError:
        return uuid4().hex


def wait_s(attempt: int, *, refused: bool, chance: Callable[[], float] = random.random) -> float:
    """Return how long to wait before the next attempt: doubling, with jitter, so that a fleet does not march."""
    most = REFUSED_WAIT_S if refused else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 16))
    return most * (0.5 + chance() / 2)


class Dialling:
    """Runs until cancelled. ``clock`` names the monotonic clock; ``now`` is the wall clock."""

    def __init__(
        self,
        file: IdentityFile,
        handlers: Mapping[str, Handler],
        condition: Condition,
        *,
        clock: str,
        controller: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = file
        self._handlers = handlers
        self._condition = condition
        self._clock = clock
        self._controller = controller
        self._now = now
        self._attempt = 0
        self._logged: str | None = None

    async def run(self) -> NoReturn:
        """Connect again and again."""
        while True:
            stamp = self._file.stamp()
            refused = False
            try:
                identity = with_controller(self._file.read(), self._controller)
                self._condition.enrolled(identity)
                error = await self._connect(identity)
                refused = not isinstance(error, Unreachable) and not error.transient
            except YamoriError as why:
                error, refused = why, not why.transient
            self._tell(error)
            if isinstance(error, NotFound):
                await self._file.changed(stamp)
                continue
            await self._rest(stamp, refused=refused)

    async def _rest(self, stamp: tuple[int, int] | None, *, refused: bool) -> None:
        """Wait, but not when somebody has enrolled this host anew meanwhile."""
        seconds = wait_s(self._attempt, refused=refused)
        self._attempt += 1
        try:
            async with asyncio.timeout(seconds):
                await self._file.changed(stamp)
        except TimeoutError:
            return
        self._attempt = 0

    async def _connect(self, identity: Identity) -> YamoriError:
        """Connect once and serve until the connection ends; return why it did."""
        context = agent_context(identity.authority_pem, identity.certificate_pem, identity.key)
        channel = await dial(identity.controller, context)
        try:
            await channel.handshake()
        except BaseException:
            await channel.close()
            raise
        hello = Hello(
            lowest=LOWEST,
            highest=HIGHEST,
            software=__version__,
            clock=self._clock,
            wall=self._now(),
        )
        renewing: list[asyncio.Task[None]] = []
        began = time.monotonic()

        async def greeted(line: Line, event: Offered | Opened) -> None:
            if isinstance(event, Opened):
                skew = self._opened(identity, event)
                renewing.append(asyncio.create_task(self._renew_in_time(line, identity, skew)))

        line = Line(
            channel,
            Wire(Role.AGENT, now=time.monotonic(), hello=hello),
            handlers=self._handlers,
            greeted=greeted,
        )
        try:
            return await line.run()
        finally:
            if renewing and time.monotonic() - began >= STEADY_S:
                self._attempt = 0
            for task in renewing:
                task.cancel()
            await asyncio.gather(*renewing, return_exceptions=True)

    def _opened(self, identity: Identity, event: Opened) -> timedelta:
        """Note a connection; return by how much our clock is ahead of the controller's."""
        skew = self._now() - event.wall
        skew_s = skew.total_seconds()
        log.info("connected to %s as %s (Yamori %s)", identity.controller, identity.name, event.software[:64])
        if abs(skew_s) > SKEW_S:
            log.warning(
                "this host's clock is %.0f s %s the controller's: set it, or certificates will not be taken",
                abs(skew_s),
                "ahead of" if skew_s > 0 else "behind",
            )
        self._logged = None
        self._condition.connected(skew_s)
        return skew

    async def _renew_in_time(self, line: Line, identity: Identity, skew: timedelta) -> None:
        """Get the next certificate when two thirds of this one's life are over, with a new key.

        Time is the controller's: by a clock that is ahead, a fresh certificate would be due at once, for ever.
        """
        while True:
            left_s = (identity.renew_at() - (self._now() - skew)).total_seconds()
            if left_s > 0:
                # Wall time may jump: look again now and then rather than sleep through it.
                await asyncio.sleep(min(left_s, RENEW_LOOK_S))
                continue
            try:
                identity = await self._renew(line, identity)
            except YamoriError as error:
                log.warning("the certificate could not be renewed: %s", str(error)[:300])
                await asyncio.sleep(min(RENEW_AGAIN_S, max(1.0, -left_s)))

    async def _renew(self, line: Line, identity: Identity) -> Identity:
        applicant = apply()
        untrusted: Any = await line.call(
            CallName.RENEW.value, {"request": applicant.request}, timeout_s=RENEW_CALL_S
        )
        fresh = self._file.renewed(identity, applicant, taken(Renewed, untrusted).certificate)
        log.info("the certificate was renewed: good until %s", f"{fresh.certificate.not_after:%Y-%m-%d %H:%M} UTC")
        self._condition.enrolled(fresh)
        return fresh

    def _tell(self, error: YamoriError) -> None:
        """Log each new reason once, not each attempt."""
        text = str(error)[:500]
        if text != self._logged:
            log.warning("not connected: %s", text)
            self._logged = text
        self._condition.lost(text)
