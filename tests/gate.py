"""A controller's gateway in a thread of its own: a lab's agents stay connected from one test to the next."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tests.agent.fleet import Controller, controlling
from yamori.agent.joined import JoinedSession
from yamori.capabilities.session import Acting, Sensing, Session
from yamori.lab.xen.agent import XenAgent
from yamori.model.ids import EndpointName
from yamori.model.support import Support

CONNECTED_LIMIT_S = 180.0


class Gate:
    """Sessions of the agents that are connected here, for any event loop."""

    def __init__(self, controller: Controller, loop: asyncio.AbstractEventLoop) -> None:
        self._controller = controller
        self._loop = loop
        self._agents: dict[str, XenAgent] = {}

    def bring(self, name: str, agent: XenAgent) -> None:
        """Install, enrol and start an agent, and wait until it is connected."""
        agent.install()
        token = self._run(self._controller.gateway.invite(name, by="test")).token
        agent.enrol(self._controller.address, token)
        self._agents[name] = agent
        self.start(name)

    def start(self, name: str) -> None:
        """Start an agent that was brought here, and wait until it is connected."""
        self._agents[name].start()
        self._run(self._until_connected(name), limit_s=CONNECTED_LIMIT_S + 10)

    def kill(self, name: str) -> None:
        """Kill an agent without a good-bye."""
        self._agents[name].kill()

    def leave(self) -> None:
        """Stop listening, as a controller that is gone."""
        self._run(self._controller.stop())

    def come_back(self, name: str) -> None:
        """Listen at the same address again, and wait until an agent has come by itself."""
        self._run(self._controller.start())
        self._run(self._until_connected(name), limit_s=CONNECTED_LIMIT_S + 10)

    def joined(self, name: str, native: Session) -> JoinedSession:
        """Join a hypervisor's session with the agent's."""
        return JoinedSession(EndpointName(name), native, Elsewhere(self._controller.session(name), self._loop))

    async def _until_connected(self, name: str) -> None:
        async with asyncio.timeout(CONNECTED_LIMIT_S):
            while not self._controller.connected(name):  # noqa: ASYNC110  another task brings it about
                await asyncio.sleep(0.2)

    def _run(self, work: Any, *, limit_s: float = 60.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)


class Elsewhere:
    """A session that lives on another event loop."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._loop = loop

    @property
    def sensing(self) -> Sensing:
        return self._there(self._session.sensing)

    @property
    def acting(self) -> Acting:
        return self._there(self._session.acting)

    async def probe(self) -> Support:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._session.probe(), self._loop))

    async def close(self) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._session.close(), self._loop))

    def _there(self, side: Any) -> Any:
        told = {each.name: getattr(side, each.name) for each in fields(side)}
        return replace(side, **{k: None if v is None else _Capability(v, self._loop) for k, v in told.items()})


class _Capability:
    def __init__(self, capability: object, loop: asyncio.AbstractEventLoop) -> None:
        self._capability = capability
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._capability, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(found(*args, **kwargs), self._loop))

        return call


@contextmanager
def gate(state_dir: Path, listen: str) -> Iterator[Gate]:
    """Open a gateway at HOST:PORT for as long as the block lasts."""
    ready: Future[tuple[Controller, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        async with controlling(state_dir, listen=listen) as controller:
            ready.set_result((controller, asyncio.get_running_loop(), over))
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # told to who waits; pytest shows what comes later
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="gate")
    thread.start()
    controller, loop, over = ready.result(60)
    try:
        yield Gate(controller, loop)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
