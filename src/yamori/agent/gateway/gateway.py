"""The gateway as a whole: listens, lets agents in, keeps their posts, tells how they stand."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from yamori import __version__
from yamori.agent.gateway.admission import Admission
from yamori.agent.gateway.contact import Contacts
from yamori.agent.gateway.door import Door
from yamori.agent.gateway.post import Post
from yamori.agent.gateway.refusals import Refusals
from yamori.agent.gateway.roster import view_of
from yamori.agent.gateway.session import RemoteSession
from yamori.agent.protocol.tls import ENROL_AGAIN, controller_context
from yamori.control.agents import AgentView, GatewaySettings, Invitation, address_of
from yamori.model.errors import Failed, Invalid, NotFound, NotPermitted
from yamori.model.ids import EndpointName
from yamori.model.secret import Secret
from yamori.trust.authority import Authority, ServerIdentity
from yamori.trust.certificates import agent_name
from yamori.trust.enrolment import Roll, new_token

log = logging.getLogger(__name__)

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not listened on


class Told(Protocol):
    """Hears of agents that come and go; ``control.controller.Controller.agent`` fulfils it."""

    def __call__(self, name: str, *, connected: bool, why: str | None) -> None:
        """Hear of one."""
        ...


class Gateway:
    """Fulfils ``control.agents.AgentGate``. Call ``open``, then keep ``serve`` running until it is cancelled.

    ``endpoints`` are the names that an agent may have; None lets any name in. ``told``, where it is set, is called
    when an agent connects or is lost.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        authority: Authority,
        roll: Roll,
        *,
        now: Callable[[], datetime],
        endpoints: Collection[EndpointName] | None = None,
    ) -> None:
        self.told: Told | None = None
        self._settings = settings
        self._authority = authority
        self._roll = roll
        self._now = now
        self._endpoints = endpoints
        self._posts: dict[str, Post] = {}
        self._identity: ServerIdentity | None = None
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self.refusals = Refusals(roll)
        self._contacts = Contacts(roll, now)
        self._door = Door(
            admission=Admission(
                authority=authority, roll=roll, lifetime=timedelta(seconds=settings.lifetime_s), now=now
            ),
            refusals=self.refusals,
            context=self._current_context,
            post=self.post,
            told=self._tell,
            most=settings.most_connections,
            software=__version__,
        )

    def session(self, endpoint: EndpointName) -> RemoteSession:
        """Return the session of the agent of an endpoint; it need not be connected, or even enrolled, yet."""
        return RemoteSession(endpoint, self.post(endpoint), self._now)

    def post(self, name: str) -> Post:
        """Return the post of an agent."""
        return self._posts.setdefault(name, Post(name, self._now))

    async def open(self) -> tuple[str, int]:
        """Begin to listen; return address and port. Raises Failed where that cannot be."""
        host, port = address_of(self._settings.listen)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            both = host == "::" and socket.has_dualstack_ipv6()
            self._socket = socket.create_server(
                found[0][4][:2], family=found[0][0], backlog=128, dualstack_ipv6=both
            )
        except OSError as error:
            raise Failed(
                f"cannot listen for agents: {error.strerror or error}",
                subject=self._settings.listen,
                mend="change agents.listen in the fleet's file, or stop what listens there",
            ) from error
        bound = self._socket.getsockname()
        return str(bound[0]), int(bound[1])

    async def serve(self) -> None:
        """Serve agents until cancelled; then all connections are ended."""
        if self._socket is None:
            await self.open()
        server = await asyncio.start_server(self._door.accept, sock=self._socket)
        try:
            log.info("agents are awaited on %s", self._settings.listen)
            await self._contacts.watch(self._posts)
        finally:
            server.close()
            await self._door.close()

    async def agents(self) -> Sequence[AgentView]:
        """List the agents by name."""
        return [view_of(found, self._posts.get(found.name), self._now()) for found in await self._roll.all()]

    async def invite(self, name: str, *, by: str) -> Invitation:
        """Make a one-time token."""
        named = agent_name(name)
        if self._endpoints is not None and named not in self._endpoints:
            raise NotFound(
                "no endpoint of this name waits for an agent",
                subject=named,
                mend="give the endpoint `agent: remote` in the fleet's file, and restart yamori up",
            )
        now = self._now()
        expires_at = now + timedelta(seconds=self._settings.token_s)
        token, grant = new_token(named, self._authority.fingerprint, now=now, expires_at=expires_at)
        await self._roll.invite(grant, by=by)
        controller = self._dialled()
        text = token.text()
        command = f"yamori agent enrol --controller {controller} --token {text.reveal()}"
        return Invitation(
            name=EndpointName(named),
            token=text,
            controller=controller,
            command=Secret(command),
            expires_at=expires_at,
        )

    async def revoke(self, name: str, *, by: str, reason: str) -> AgentView:
        """Strike an agent off and end its connection."""
        found = await self._roll.revoke(name, by=by, reason=reason)
        post = self.post(name)
        post.generation += 1
        post.end(NotPermitted("this agent was revoked", subject=name, mend=ENROL_AGAIN))
        return view_of(found, post, self._now())

    def _tell(self, post: Post) -> None:
        if self.told is not None:
            self.told(post.name, connected=post.line is not None, why=post.error)

    def _dialled(self) -> str:
        """Return how hosts reach us, as far as we can know."""
        if self._settings.address is not None:
            return self._settings.address
        host, port = address_of(self._settings.listen)
        if port == 0 and self._socket is not None:
            port = int(self._socket.getsockname()[1])
        if port == 0:
            raise Invalid("the port for agents is not known yet", mend="give agents.address in the fleet's file")
        named = socket.getfqdn() if host in WILDCARDS else host
        return f"[{named}]:{port}" if ":" in named else f"{named}:{port}"

    def _current_context(self) -> ssl.SSLContext:
        """Return the TLS context, with a fresh certificate when two thirds of the old one's life are over."""
        now = self._now()
        if self._context is None or self._identity is None or now >= self._identity.renew_at:
            self._identity = self._authority.issue_server(now)
            self._context = controller_context(self._authority.pem, self._identity.pem, self._identity.key)
        return self._context
