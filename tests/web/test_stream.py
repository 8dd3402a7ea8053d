"""The event stream, over a real connection."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, Served, served
from yamori.control.facade import EventKind
from yamori.model.errors import Unreachable
from yamori.web import sse
from yamori.web.api.stream import MOST, Streams
from yamori.web.client import Client
from yamori.web.errors import TooMany
from yamori.web.sse import Message, messages, written


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served() as running:
        yield running


def tell(service: Served, *subjects: str) -> None:
    for subject in subjects:
        service.call(service.facade.tell(EventKind.DRIFT, subject, {"said": "\u2028 data: x\r\n\r\nid: 9"}))


def take(events: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return list(itertools.islice(events, count))


def test_a_client_is_greeted_and_then_told_what_happens(service: Served) -> None:
    with Client(service.url, TOKEN) as client:
        events = client.events()
        hello = next(events)
        assert (hello["kind"], hello["resumed"]) == ("hello", False)
        tell(service, "a", "b")
        told = take(events, 2)
        assert [e["subject"] for e in told] == ["a", "b"]
        assert told[1]["number"] == told[0]["number"] + 1
        assert told[0]["body"]["said"].endswith("id: 9"), "what a body holds cannot break out of its message"
        events.close()


def test_a_client_that_comes_back_goes_on_where_it_left_off(service: Served) -> None:
    with Client(service.url, TOKEN) as client:
        events = client.events()
        next(events)
        tell(service, "first")
        last = next(events)["id"]
        events.close()
        tell(service, "meanwhile-1", "meanwhile-2")
        again = client.events(after=last)
        assert next(again)["resumed"] is True
        assert [e["subject"] for e in take(again, 2)] == ["meanwhile-1", "meanwhile-2"]
        again.close()


@pytest.mark.parametrize("stale", ["7-0000000f", "x", "-1", "1" * 40, "\u0664"])
def test_a_place_in_an_earlier_life_of_the_service_is_not_taken_for_one_in_this(
    service: Served, stale: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": stale.encode()}
    with httpx.stream("GET", f"{service.url}/api/v1/events", headers=headers, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        first = next(messages(answer.iter_lines()))
        assert json.loads(first.data)["resumed"] is False


def test_a_client_that_leaves_is_forgotten() -> None:
    with served() as service:
        with Client(service.url, TOKEN) as client:
            events = client.events()
            next(events)
            tell(service, "x")
            next(events)
            assert service.facade.listeners == 1
            events.close()
        deadline = time.monotonic() + 60
        while service.facade.listeners:
            assert time.monotonic() < deadline
            tell(service, "somebody left")
            time.sleep(0.02)
        assert service.app.state.streams.open == 0


def test_when_the_service_stops_its_streams_end_and_a_client_says_how_to_start_it() -> None:
    with served() as service, Client(service.url, TOKEN) as client:
        events = client.events()
        next(events)
        service.call(_stop(service))
        with pytest.raises(Unreachable, match="yamori up"):
            next(events)


async def _stop(service: Served) -> None:
    service.app.state.streams.close()


async def test_streams_are_bounded_in_number() -> None:
    streams = Streams(FakeFacade(), epoch="e")
    opened = [(await streams.events(None)).body_iterator.__aiter__() for _ in range(MOST)]
    for stream in opened:
        await anext(stream)
    assert streams.open == MOST
    with pytest.raises(TooMany):
        await streams.events(None)
    for stream in opened:
        await stream.aclose()  # type: ignore[attr-defined]
    assert streams.open == 0


async def test_silence_is_filled_so_that_a_dead_connection_is_noticed() -> None:
    streams = Streams(FakeFacade(), epoch="e", heartbeat_s=0.01)
    stream = (await streams.events(None)).body_iterator.__aiter__()
    await anext(stream)
    assert await anext(stream) == sse.HEARTBEAT
    await stream.aclose()  # type: ignore[attr-defined]


def test_what_is_written_is_read_back() -> None:
    told = [Message(id="7-e", event="run", data='{"a": 1}'), Message(id="8-e", event="x", data="two\nlines")]
    text = sse.HEARTBEAT + "".join(map(written, told))
    assert list(messages(text.split("\n"))) == told


def test_nothing_in_a_message_can_forge_another() -> None:
    text = written(Message(id="1\nid: 2", event="a\n\ndata: forged", data="x\r\n\r\nid: 9\ndata: y"))
    (read,) = messages(text.split("\n"))
    assert (read.id, read.event) == ("1 id: 2", "a  data: forged")
    assert read.data == "x\n\nid: 9\ndata: y"
