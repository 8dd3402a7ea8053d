"""Anything at all comes in: the answer is always in shape, never a fault of ours, and only what is valid acts."""

import asyncio
import json
import math
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web import scene
from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, make_app
from yamori.model.actions import Throttle
from yamori.web.api.table import ROUTES
from yamori.web.errors import rebuilt
from yamori.web.sse import Message, event, messages, written

ROUTE = st.sampled_from([r for r in ROUTES.values() if r.name != "events"])
NAME = st.one_of(
    st.text(max_size=40), st.sampled_from([scene.vm_id(4), "mail", "batch-7", "run-0007", "finding-0004"])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
BODY = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda v: json.dumps(v).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "limits": st.dictionaries(st.sampled_from(["cpu_cap", "memory", "net_in", "x"]), JSON, max_size=3)
            | JSON,
            "expires_after_s": st.floats() | JSON,
            "reason": st.text(max_size=600) | JSON,
            "dry_run": st.booleans() | JSON,
            "to": st.text(max_size=300) | JSON,
        },
    ).map(lambda v: json.dumps(v).encode()),
)
QUERY = st.dictionaries(
    st.sampled_from(
        ["search", "limit", "after", "host", "standing", "held", "seconds", "open", "tiles", "timeout_s"]
    ),
    st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str)),
    max_size=4,
)
HEADER = st.text(string.printable.replace("\r", "").replace("\n", ""), max_size=60)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Asked:
    """One application and one loop for all examples."""

    def __init__(self) -> None:
        self.facade = FakeFacade()
        self.app = make_app(self.facade)
        self.loop = asyncio.new_event_loop()

    def ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **rest)

        return self.loop.run_until_complete(once())


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    one = Asked()
    yield one
    one.loop.run_until_complete(one.loop.shutdown_default_executor())
    one.loop.close()


def assert_in_shape(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if not answer.is_success:
        assert set(answer.json()["error"]) == {"code", "message", "subject", "mend"}
    elif answer.headers["content-type"] == "application/json":
        json.loads(answer.text, parse_constant=lambda word: pytest.fail(word))


@FEW
@given(route=ROUTE, name=NAME, query=QUERY, body=BODY)
def test_whatever_comes_the_answer_is_in_shape(
    asked: Asked, route: Any, name: str, query: dict[str, str], body: bytes
) -> None:
    asked.facade.acted.clear()
    safe = quote(name.encode("utf-8", "replace"), safe="")
    path = route.full_path.replace("{vm}", safe).replace("{run}", safe).replace("{finding}", safe)
    if route.name == "wait":
        query["timeout_s"] = "0"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    content = body if route.writes else None
    answer = asked.ask(route.method, path, params=query, content=content, headers=headers)
    assert_in_shape(answer)
    if not answer.is_success and answer.status_code != 409:
        assert asked.facade.acted == []
    for action, *_ in asked.facade.acted:
        if isinstance(action, Throttle):
            assert action.limits
            assert all(math.isfinite(v) and v > 0 for v in action.limits.values())
            assert 0 < action.expires_after_s <= 7 * 86_400


@FEW
@given(
    path=st.text(string.ascii_letters + string.digits + "/%._-~:@", max_size=60),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"]),
    names=st.lists(
        st.sampled_from(["Origin", "Authorization", "Cookie", "X-Yamori-Key", "Content-Type"]), max_size=4
    ),
    value=HEADER,
)
def test_nobody_without_the_token_is_told_anything(
    asked: Asked, path: str, method: str, names: list[str], value: str
) -> None:
    asked.facade.acted.clear()
    answer = asked.ask(method, f"/api/v1/x{path}".replace("//", "/"), headers=dict.fromkeys(names, value.strip()))
    assert answer.status_code in (401, 403, 413, 422)
    assert_in_shape(answer)
    assert asked.facade.acted == []


@FEW
@given(number=st.text(max_size=20) | st.none(), kind=st.text(max_size=20), data=st.text(max_size=100))
def test_any_message_is_one_message(number: str | None, kind: str, data: str) -> None:
    text = written(Message(id=number, event=kind, data=data))
    assert len(list(messages(text.split("\n")))) == 1
    plain = json.dumps({"number": 1, "body": data})
    (read,) = messages(written(Message(id=number, event=kind, data=plain)).split("\n"))
    assert event(read)["body"] == data


@FEW
@given(status=st.integers(400, 599), body=JSON | st.fixed_dictionaries({"error": JSON}))
def test_any_answer_becomes_an_error_of_the_model(status: int, body: Any) -> None:
    error = rebuilt(status, body)
    assert str(error)
