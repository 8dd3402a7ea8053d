"""Every route, driven by the table of routes, against everything that may come in: it refuses, nothing changes."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.web import scene
from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, make_app
from yamori.web.api.table import PREFIX, ROUTES, Right, Route
from yamori.web.door import LARGEST_BODY, LONGEST_TARGET

ALL = sorted(ROUTES.values(), key=lambda r: r.name)
GUARDED = [r for r in ALL if r.right is not Right.NOBODY]
WRITING = [r for r in ALL if r.writes]
NAMED = [r for r in ALL if "{" in r.full_path]
BODIES: dict[str, dict[str, Any]] = {
    "throttle": {"limits": {"cpu_cap": 0.5}, "expires_after_s": 60, "reason": "x"},
    "release": {},
    "migrate": {},
    "undo": {},
    "throw_kill_switch": {"on": True, "reason": "x"},
    "invite_agent": {},
    "revoke_agent": {"reason": "x"},
}
HOSTILE = (
    "..",
    "%2e%2e%2fetc%2fpasswd",
    "a%2Fb",
    "%00",
    "%0d%0aX-Injected:%201",
    "%ff%fe",
    "%F0%9F%92%A9",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "';DROP TABLE vms;--",
    "{{7*7}}",
    "%25s%25n",
    "a" * 257,
    "no-such-vm",
)
FOREIGN = {
    "rebound name": {"Host": "attacker.example"},
    "name beside ours": {"Host": "127.0.0.1.attacker.example:8470"},
    "no name": {"Host": ""},
    "malformed name": {"Host": "[::1"},
    "user in the name": {"Host": "127.0.0.1@attacker.example"},
    "page of another origin": {"Origin": "https://attacker.example"},
    "page of another port": {"Origin": "http://127.0.0.1:9999"},
    "page without origin": {"Origin": "null"},
    "malformed origin": {"Origin": "http://[::1"},
    "image in a foreign page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "same site, other port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
}
WRONG = {
    "none": {},
    "wrong": {"Authorization": "Bearer wrong"},
    "empty": {"Authorization": "Bearer "},
    "long": {"Authorization": "Bearer " + "x" * 600},
    "prefix": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "longer": {"Authorization": f"Bearer {TOKEN}x"},
    "other scheme": {"Authorization": f"Basic {TOKEN}"},
    "bare": {"Authorization": TOKEN},
    "not ascii": {"Authorization": "Bearer \u00e4".encode("latin-1")},
    "cookie of nobody": {"Cookie": "yamori_session=x", "X-Yamori-Key": "y"},
    "malformed cookie": {"Cookie": 'yamori_session="\\q; ;;=', "X-Yamori-Key": "y"},
}


@pytest.fixture(scope="module")
def made() -> tuple[FakeFacade, FastAPI]:
    """One application for all: none of what follows may leave a trace in it."""
    facade = FakeFacade()
    return facade, make_app(facade)


@pytest.fixture
def facade(made: tuple[FakeFacade, FastAPI]) -> FakeFacade:
    made[0].acted.clear()
    return made[0]


@pytest.fixture
async def anonymous(made: tuple[FakeFacade, FastAPI]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=made[1])
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470") as client:
        yield client


def path_of(route: Route) -> str:
    path = route.full_path
    parts = {
        "{vm}": scene.vm_id(4),
        "{run}": "run-0007",
        "{finding}": "finding-0004",
        "{agent}": "rack-a",
    }
    for part, value in parts.items():
        path = path.replace(part, value)
    return path


async def send(client: httpx.AsyncClient, route: Route, path: str | None = None, **rest: Any) -> httpx.Response:
    if route.writes and not rest.keys() & {"content", "json"}:
        rest["json"] = BODIES[route.name]
    return await client.request(rest.pop("method", route.method), path or path_of(route), **rest)


def assert_refused(answer: httpx.Response, facade: FakeFacade, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message", "subject", "mend"}
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert facade.acted == []


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("route", GUARDED, ids=lambda r: r.name)
async def test_without_the_token_nothing_is_told_and_nothing_done(
    anonymous: httpx.AsyncClient, facade: FakeFacade, route: Route, how: str
) -> None:
    answer = await send(anonymous, route, headers=WRONG[how])
    assert_refused(answer, facade, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("how", FOREIGN)
@pytest.mark.parametrize("route", ALL, ids=lambda r: r.name)
async def test_other_names_and_other_origins_are_refused_even_with_the_token(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route, how: str
) -> None:
    assert_refused(await send(api, route, headers=FOREIGN[how]), facade, 421, 403)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "other"])
@pytest.mark.parametrize("route", ALL, ids=lambda r: r.name)
async def test_a_wrong_method_is_refused(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route, method: str
) -> None:
    wrong = {"GET": "POST", "POST": "GET"}[route.method] if method == "other" else method
    answer = await send(api, route, method=wrong)
    assert_refused(answer, facade, 405)
    assert answer.headers["allow"] == route.method


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"dry_run": "perhaps"}',
        b'{"a": 1}',
        b"a=1",
    ],
    ids=lambda b: repr(b[:12]),
)
@pytest.mark.parametrize("route", WRITING, ids=lambda r: r.name)
async def test_a_malformed_body_is_refused(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route, body: bytes
) -> None:
    if route.name == "undo" and body in (b"", b"null"):
        pytest.skip("to undo a run needs no body")
    answer = await send(api, route, content=body, headers={"Content-Type": "application/json"})
    assert_refused(answer, facade, 422)


@pytest.mark.parametrize("route", ALL, ids=lambda r: r.name)
async def test_what_is_too_large_is_refused(api: httpx.AsyncClient, facade: FakeFacade, route: Route) -> None:
    assert_refused(await send(api, route, content=b" " * (LARGEST_BODY + 1)), facade, 413)
    assert_refused(await send(api, route, params={"x": "y" * LONGEST_TARGET}), facade, 413)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "1e3"])
@pytest.mark.parametrize("route", WRITING, ids=lambda r: r.name)
async def test_a_length_that_lies_is_refused(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route, length: str
) -> None:
    assert_refused(await send(api, route, headers={"Content-Length": length}), facade, 413)


@pytest.mark.parametrize("route", WRITING, ids=lambda r: r.name)
async def test_a_body_that_grows_under_way_is_refused(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route
) -> None:
    async def endless() -> Any:
        for _ in range(LARGEST_BODY // 1024 + 2):
            yield b" " * 1024

    assert_refused(await send(api, route, content=endless()), facade, 413)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("route", NAMED, ids=lambda r: r.name)
async def test_a_hostile_name_finds_nothing(
    api: httpx.AsyncClient, facade: FakeFacade, route: Route, name: str
) -> None:
    path = re.sub(r"\{\w+\}", lambda _: name, route.full_path)
    answer = await send(api, route, path)
    assert answer.status_code in (404, 405, 422), answer.text
    assert "x-injected" not in answer.headers
    assert not [a for a in facade.acted if a[0] == "undo"]
    assert answer.text.isascii(), "no name reaches a terminal as it came"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1e9",
        "after=-1",
        "after=99999999999999999999",
        "standing=fine",
        "held=maybe",
        "search=" + "x" * 300,
    ],
)
async def test_a_query_out_of_bounds_is_refused(api: httpx.AsyncClient, facade: FakeFacade, query: str) -> None:
    assert_refused(await api.get(f"{PREFIX}/vms?{query}"), facade, 422)


@pytest.mark.parametrize("key", ["", "x" * 201, "\u00e4", "a\tb"])
async def test_a_malformed_idempotency_key_is_refused(
    api: httpx.AsyncClient, facade: FakeFacade, key: str
) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    assert_refused(await api.post(f"{PREFIX}/vms/mail/release", json={}, headers=headers), facade, 422)


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/nothing", "/api", "/metrics/x", "/docs", "/openapi.json"])
async def test_nobody_learns_which_paths_exist(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code in (401, 303)


@pytest.mark.parametrize("path", ["/assets/../index.html", "/assets/%2e%2e/login.html", "/assets/", "/assets/x"])
async def test_only_the_consoles_own_files_are_served(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code in (303, 404, 405)


def test_every_route_declares_what_it_needs_and_writes_only_by_post() -> None:
    assert {r.method for r in ALL} == {"GET", "POST"}
    assert [r.name for r in ALL if r.right is Right.NOBODY] == ["health"]
    reading = {Right.READ, Right.AUDIT, Right.NOBODY}
    assert all((r.right in reading) is not r.writes for r in ALL)
