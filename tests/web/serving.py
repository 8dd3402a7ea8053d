"""Serves the application on loopback in a thread of its own, over a stand-in facade."""

import asyncio
import contextlib
import hmac
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from tests.web.fake_facade import FakeFacade
from yamori.model.errors import NotPermitted
from yamori.web.app import create_app
from yamori.web.server import open_socket, serve_http, url_of
from yamori.web.token_gate import TokenGate

TOKEN = "t0ken-of-the-tests"
POLICY = "version: 1\nrules:\n  - id: throttle-bronze\n    mode: enforce\n"


def check_token(text: str) -> None:
    if not hmac.compare_digest(text.encode("utf-8", "replace"), TOKEN.encode()):
        raise NotPermitted("the token is wrong")


async def no_pause(_: float) -> None:
    """Wrong tokens cost nothing in tests."""


def make_app(facade: FakeFacade) -> FastAPI:
    gate = TokenGate(check_token, pause=no_pause)
    return create_app(facade, check_token=check_token, policy_text=lambda: POLICY, version="1.2.3", gate=gate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running service. ``call`` runs something in its event loop and waits for it."""

    url: str
    app: FastAPI
    facade: FakeFacade
    loop: asyncio.AbstractEventLoop

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)


@contextlib.contextmanager
def served(facade: FakeFacade | None = None) -> Iterator[Served]:
    """Serve until the block ends; the thread is gone afterwards."""
    facade = facade or FakeFacade()
    app = make_app(facade)
    listener = open_socket("127.0.0.1", 0)
    ready = threading.Event()
    made: dict[str, Any] = {}

    async def main() -> None:
        stop, started = asyncio.Event(), asyncio.Event()
        made["stop"], made["loop"] = stop, asyncio.get_running_loop()
        serving = asyncio.create_task(serve_http(app, listener, stop=stop, started=started))
        await started.wait()
        ready.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="served")
    url = url_of(listener)
    thread.start()
    try:
        assert ready.wait(30)
        yield Served(url=url, app=app, facade=facade, loop=made["loop"])
    finally:
        made["loop"].call_soon_threadsafe(made["stop"].set)
        thread.join(30)
        assert not thread.is_alive()
