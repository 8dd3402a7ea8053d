"""The agent of a lab's Xen host for a benchmark, at a gateway of its own; its calls are counted."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from yamori.agent.gateway.gateway import Gateway
from yamori.agent.gateway.post import Post
from yamori.agent.gateway.session import RemoteSession
from yamori.bench.labhost import LabHost
from yamori.bench.result import Progress
from yamori.control.agents import GatewaySettings
from yamori.lab.lab import Lab
from yamori.lab.xen.agent import XenAgent
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Conflict, Failed, TimedOut
from yamori.model.ids import EndpointName
from yamori.store.opening import open_store
from yamori.trust.authority import keep_authority

_CONNECT_SECONDS = 180.0
"""An emulated dom0 takes long to load the agent's libraries."""
_STATUS = ("python3", "-m", "yamori.agent", "status")
_AWAY = ("yamori", "agent", "uninstall", "--purge", "--yes")


class CountedPost:
    """A post whose calls are counted."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._post, name)

    def calls(self) -> int:
        """How many calls went over the agent's line."""
        return self._calls

    async def call(self, name: str, arguments: Any, *, timeout_s: float) -> Any:
        """Ask the agent, as the post does."""
        self._calls += 1
        return await self._post.call(name, arguments, timeout_s=timeout_s)


class LabAgent:
    """A connected agent: its session, its calls, its process."""

    def __init__(self, name: EndpointName, post: CountedPost, agent: XenAgent) -> None:
        self._post = post
        self._agent = agent
        self.session = RemoteSession(name, cast(Post, post), _now)

    def calls(self) -> int:
        """How many calls went over the agent's line."""
        return self._post.calls()

    @property
    def pid(self) -> int:
        """The agent's process in dom0. Raises Failed when it has none."""
        if self._agent.pid is None:
            raise Failed("the agent does not run")
        return self._agent.pid


@contextlib.asynccontextmanager
async def lab_agent(place: LabHost, progress: Progress) -> AsyncIterator[LabAgent]:
    """Bring the agent to dom0 and wait until it is connected. A lab that is not ours is left as it was found.

    Raises Conflict when such a host has an agent already, which serves another controller; TimedOut, Failed.
    """
    lab, host = place.lab, place.lab.xen_host(place.host.name)
    if not place.ours and await asyncio.to_thread(_installed, host):
        raise Conflict(
            f"{host.name} has an agent already", mend="leave --lab out: the benchmark makes a lab of its own"
        )
    agent = XenAgent(host)
    with tempfile.TemporaryDirectory(prefix="yamori-bench-") as folder:
        async with _gateway(lab, EndpointName(host.name), Path(folder)) as gateway:
            try:
                progress(f"collect: the agent of {host.name}")
                await asyncio.to_thread(agent.install)
                invitation = await gateway.invite(host.name, by="bench")
                await asyncio.to_thread(agent.enrol, invitation.controller, invitation.token)
                await asyncio.to_thread(agent.start)
                await _connected(gateway.post(host.name), agent)
                yield LabAgent(EndpointName(host.name), CountedPost(gateway.post(host.name)), agent)
            finally:
                if not place.ours:
                    await asyncio.to_thread(_take_away, agent, host)


@contextlib.asynccontextmanager
async def _gateway(lab: Lab, endpoint: EndpointName, folder: Path) -> AsyncIterator[Gateway]:
    store = await open_store(folder)
    serving: asyncio.Task[None] | None = None
    try:
        settings = GatewaySettings(listen=f"{lab.layout.root_address}:0")
        gateway = Gateway(settings, keep_authority(folder, _now()), store.agents, now=_now, endpoints=[endpoint])
        await gateway.open()
        serving = asyncio.create_task(gateway.serve(), name="gateway")
        yield gateway
    finally:
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        await store.close()


async def _connected(post: Post, agent: XenAgent) -> None:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while post.line is None:
        if time.monotonic() > deadline:
            untrusted_log = await asyncio.to_thread(agent.log)
            raise TimedOut(
                f"the agent did not connect within {_CONNECT_SECONDS:.0f} s: {untrusted_log.strip()[-300:]}"
            )
        await asyncio.sleep(0.2)


def _installed(host: XenHost) -> bool:
    try:
        host.run(_STATUS, timeout_seconds=120)
    except TimedOut:
        raise
    except Failed:
        return False  # there is no directory of an agent
    return True


def _take_away(agent: XenAgent, host: XenHost) -> None:
    agent.kill(signal="TERM")
    with contextlib.suppress(Failed):  # the host may be gone; then so is the agent
        host.run(_AWAY, timeout_seconds=120)


def _now() -> datetime:
    return datetime.now(UTC)
