"""A controller with its gateway, and agents over a simulated host, on real sockets of the loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yamori.agent.gateway.gateway import Gateway
from yamori.agent.gateway.session import RemoteSession
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.tls import agent_context, asking_context
from yamori.agent.service.enrolling import dial, enrol
from yamori.agent.service.identity import Identity, IdentityFile
from yamori.agent.service.running import serve
from yamori.capabilities.session import Session
from yamori.control.agents import GatewaySettings
from yamori.drivers.simulator import SimulatorSession, World
from yamori.model.ids import EndpointName
from yamori.store import Store, open_store
from yamori.trust.authority import Authority, keep_authority
from yamori.trust.enrolment import read_token_text
from yamori.trust.ledger import RecordKind

PATIENCE_S = 60.0


def now() -> datetime:
    return datetime.now(UTC)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come, with much patience: the machine may be busy."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  another task, or process, brings it about
            await asyncio.sleep(0.02)


async def until_true(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110  another task brings it about
            await asyncio.sleep(0.05)


@dataclass(kw_only=True)
class Controller:
    """The controller's side: a store, an authority, a gateway that listens."""

    store: Store
    authority: Authority
    settings: GatewaySettings
    gateway: Gateway = field(init=False)
    address: str = ""
    _serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.gateway = Gateway(self.settings, self.authority, self.store.agents, now=now)
        host, port = await self.gateway.open()
        self.address = f"{host}:{port}"
        self.settings = self.settings.model_copy(update={"listen": self.address})  # the same again after a restart
        self._serving = asyncio.create_task(self.gateway.serve())

    async def stop(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
            self._serving = None

    def session(self, name: str = "rack-a") -> RemoteSession:
        return self.gateway.session(EndpointName(name))

    async def token(self, name: str = "rack-a") -> str:
        return (await self.gateway.invite(name, by="operator:test")).token.reveal()

    async def enrolled(self, name: str = "rack-a") -> Identity:
        return await enrol(self.address, read_token_text(await self.token(name)))

    async def records(self, kind: RecordKind) -> list[dict[str, Any]]:
        return [r.body for r in await self.store.ledger.records(after=0, limit=1000) if r.kind is kind]

    def connected(self, name: str = "rack-a") -> bool:
        return self.gateway.post(name).line is not None


@contextlib.asynccontextmanager
async def controlling(state_dir: Path, **settings: Any) -> AsyncIterator[Controller]:
    store = await open_store(state_dir)
    made = GatewaySettings(listen="127.0.0.1:0", token_s=600).model_copy(update=settings)
    controller = Controller(store=store, authority=keep_authority(state_dir, now()), settings=made)
    try:
        await controller.start()
        yield controller
    finally:
        await controller.stop()
        await store.close()


def simulated(world: World | None = None) -> SimulatorSession:
    return SimulatorSession(world or World(), EndpointName("here"), hosts=["host-0"])


def keep(state_dir: Path, identity: Identity) -> None:
    state_dir.mkdir(mode=0o700, exist_ok=True)
    IdentityFile(state_dir).write(identity)


@contextlib.asynccontextmanager
async def serving(session: Session, state_dir: Path, identity: Identity) -> AsyncIterator[asyncio.Task[None]]:
    """Run the agent's service with an identity."""
    keep(state_dir, identity)
    task = asyncio.create_task(serve(session, state_dir=state_dir, clock="boot-1"))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def shown(address: str, identity: Identity) -> Channel:
    """Connect as an agent by hand; the handshake is done."""
    channel = await dial(address, agent_context(identity.authority_pem, identity.certificate_pem, identity.key))
    try:
        await channel.handshake()
    except BaseException:
        await channel.close()
        raise
    return channel


async def stranger(address: str) -> Channel:
    """Connect without a certificate."""
    channel = await dial(address, asking_context())
    await channel.handshake()
    return channel
