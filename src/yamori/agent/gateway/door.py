"""The door: takes connections, finds out who is there, within bounds of number, time and size."""

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from yamori.agent.gateway.admission import Admission
from yamori.agent.gateway.post import Post
from yamori.agent.gateway.refusals import Refusals
from yamori.agent.protocol.calls import CallName
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.events import Offered, Opened
from yamori.agent.protocol.line import Line
from yamori.agent.protocol.messages import Hello
from yamori.agent.protocol.tls import ENROL_AGAIN, Secured
from yamori.agent.protocol.wire import Role, Wire
from yamori.model.errors import BadCertificate, Busy, Conflict, NotPermitted, Unreachable, YamoriError
from yamori.model.plain import Json
from yamori.trust.certificates import Certificate, read_certificate

log = logging.getLogger(__name__)

MOST_STRANGERS = 128
"""Connections that have not said who they are, at once."""
STOLEN = "if the host was not just started anew, revoke the agent and enrol it again"
MOST_STRANGERS_OF_ONE = 32
"""The same from one address, so that one machine cannot keep all others out."""


@dataclass(eq=False, slots=True, kw_only=True)
class Guest:
    """A connection with a certificate of ours."""

    certificate: Certificate
    line: Line | None = None
    hello: Hello | None = None
    expiry: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class Door:
    """Takes connections. ``context`` gives the TLS context of the moment."""

    admission: Admission
    refusals: Refusals
    context: Callable[[], ssl.SSLContext]
    post: Callable[[str], Post]
    told: Callable[[Post], None]
    most: int
    software: str
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _strangers: Counter[str] = field(default_factory=Counter)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection, or turn it away when there are too many."""
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        crowded = (
            len(self._tasks) >= self.most
            or self._strangers.total() >= MOST_STRANGERS
            or self._strangers[address] >= MOST_STRANGERS_OF_ONE
        )
        if not crowded:
            self._strangers[address] += 1
        work = self._turn_away(writer, address) if crowded else self._serve(reader, writer, address)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all connections."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn_away(self, writer: asyncio.StreamWriter, address: str) -> None:
        writer.transport.abort()
        await self.refusals.note(Busy("too many connections at once"), address=address)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        try:
            try:
                channel = Channel(reader, writer, Secured(self.context(), server_side=True))
                certificate = await self._receive(channel)
            finally:
                self._strangers[address] -= 1
                self._strangers = +self._strangers
            if certificate is not None:
                await self._attend(channel, certificate)
        except Exception:
            # The outermost edge of one connection: whatever it came to, the others go on.
            log.exception("a connection of an agent failed")
        finally:
            writer.transport.abort()

    async def _receive(self, channel: Channel) -> Certificate | None:
        """Find out who is there; serve whoever has no certificate to the end. None: that was all."""
        try:
            await channel.handshake()
            der = channel.tls.peer()
            if der is not None:
                return read_certificate(der)
            await self._enrol(channel)
        except YamoriError as error:
            if not isinstance(error, Unreachable):  # somebody who only knocked is nobody
                await self.refusals.note(error, address=channel.address)
        await channel.close()
        return None

    async def _enrol(self, channel: Channel) -> None:
        name = await self.admission.enrol(channel)
        if name is not None:
            log.info("agent %s enrolled from %s", name, channel.address)
            post = self.post(name)
            post.generation += 1
            post.end(NotPermitted("this agent enrolled anew", subject=name, mend=ENROL_AGAIN))

    async def _attend(self, channel: Channel, certificate: Certificate) -> None:
        """Serve an agent for as long as it stays."""
        guest = Guest(certificate=certificate)

        async def renew(untrusted_arguments: Any) -> Json:
            renewed, guest.certificate = await self.admission.renew(guest.certificate, untrusted_arguments)
            self._limit(guest)
            log.info("agent %s has its next certificate", certificate.agent)
            return renewed.model_dump(mode="json")

        async def greeted(line: Line, event: Offered | Opened) -> None:
            assert isinstance(event, Offered)  # noqa: S101  a controller's wire offers, and never opens
            await self._welcome(guest, line, event.hello)

        wire = Wire(Role.CONTROLLER, now=time.monotonic())
        line = Line(channel, wire, handlers={CallName.RENEW.value: renew}, greeted=greeted)
        why: YamoriError = Unreachable("the controller stops")
        try:
            why = await line.run()
        finally:
            if guest.expiry is not None:
                guest.expiry.cancel()
            await self._left(guest, line, why)

    async def _welcome(self, guest: Guest, line: Line, hello: Hello) -> None:
        name = guest.certificate.agent
        post = self.post(name)
        generation = post.generation
        await self.admission.admit(guest.certificate)
        if post.generation != generation:
            raise NotPermitted("this agent was revoked or enrolled anew", subject=name, mend=ENROL_AGAIN)
        guest.line = line
        line.wire.welcome(hello, software=self.software, wall=self.admission.now())
        known = post.hello
        before = post.take(line, hello)
        if before is not None:
            before.hang_up(Unreachable("this agent connected anew", subject=name))
            if known is not None and known.clock != hello.clock:
                twice = Conflict("two hosts show the certificate of one agent", subject=name, mend=STOLEN)
                await self.refusals.note(twice, address=line.channel.address, agent=name)
        self._limit(guest)
        log.info("agent %s connected from %s (Yamori %s)", name, line.channel.address, hello.software)
        self.told(post)

    def _limit(self, guest: Guest) -> None:
        """Let the connection live no longer than the newest certificate that was given over it."""
        if guest.expiry is not None:
            guest.expiry.cancel()
        left: timedelta = guest.certificate.not_after - self.admission.now()
        if (line := guest.line) is not None:
            expired = BadCertificate("the agent's certificate has expired", mend=ENROL_AGAIN)
            guest.expiry = asyncio.get_running_loop().call_later(
                max(0.0, left.total_seconds()), line.hang_up, expired
            )

    async def _left(self, guest: Guest, line: Line, why: YamoriError) -> None:
        name = guest.certificate.agent
        post = self.post(name)
        if post.leave(line, why):
            log.warning("agent %s at %s is gone: %s", name, line.channel.address, str(why)[:300])
            self.told(post)
        if not (isinstance(why, Unreachable) or line.told):
            with suppress(asyncio.CancelledError):
                await self.refusals.note(why, address=line.channel.address, agent=name)
