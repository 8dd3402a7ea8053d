"""Listening and serving inside an event loop that belongs to somebody else."""

import asyncio
import signal
import socket

import httpx
import pytest

from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, make_app
from yamori.model.errors import Conflict, Invalid, NotPermitted
from yamori.web.server import open_socket, serve_http, url_of


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"])
def test_nothing_beyond_this_machine_is_served_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(NotPermitted, match="other machines"):
        open_socket(host, 0)


def test_serving_beyond_this_machine_can_be_allowed() -> None:
    with open_socket("0.0.0.0", 0, allow_remote=True) as listener:
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize(("host", "port"), [("example", 80), ("127.0.0.1/8", 80), ("", 80), ("127.0.0.1", 70_000)])
def test_a_malformed_address_is_refused(host: str, port: int) -> None:
    with pytest.raises(Invalid):
        open_socket(host, port)


def test_a_port_in_use_is_a_conflict() -> None:
    with open_socket("127.0.0.1", 0) as taken, pytest.raises(Conflict, match="another port"):
        open_socket("127.0.0.1", taken.getsockname()[1])


def test_the_address_of_a_socket_is_written_as_browsers_want_it() -> None:
    with open_socket("localhost", 0) as four:
        assert url_of(four) == f"http://127.0.0.1:{four.getsockname()[1]}"
    if socket.has_ipv6:
        with open_socket("::1", 0) as six:
            assert url_of(six, tls=True) == f"https://[::1]:{six.getsockname()[1]}"


async def test_it_starts_serves_and_stops_without_touching_signals() -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    stop, started = asyncio.Event(), asyncio.Event()
    listener = open_socket("127.0.0.1", 0)
    url = url_of(listener)
    serving = asyncio.create_task(serve_http(make_app(FakeFacade()), listener, stop=stop, started=started))
    await started.wait()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/api/v1/vms", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert "server" not in answer.headers
        stop.set()
        await serving
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/api/v1/health")


async def test_it_stops_although_a_stream_is_open() -> None:
    stop, started = asyncio.Event(), asyncio.Event()
    listener = open_socket("127.0.0.1", 0)
    serving = asyncio.create_task(serve_http(make_app(FakeFacade()), listener, stop=stop, started=started))
    await started.wait()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx.AsyncClient(trust_env=False, base_url=url_of(listener)) as client,
        client.stream("GET", "/api/v1/events", headers=headers) as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "event: hello"
        stop.set()
        assert [line async for line in lines][-1] == ""
    await asyncio.wait_for(serving, 30)


async def test_cancelling_stops_it_too() -> None:
    started = asyncio.Event()
    listener = open_socket("127.0.0.1", 0)
    serving = asyncio.create_task(
        serve_http(make_app(FakeFacade()), listener, stop=asyncio.Event(), started=started)
    )
    await started.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert listener.fileno() == -1
