"""Tokens and sessions: who passes, who waits, who never gets in."""

import asyncio

import httpx
import pytest

from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, check_token, make_app
from yamori.web.api.table import PREFIX
from yamori.web.errors import TooMany, Unauthenticated
from yamori.web.sessions import COOKIE, LIFE_S, MOST, Sessions
from yamori.web.token_gate import WAITING, TokenGate

ORIGIN = {"Origin": "http://127.0.0.1:8470"}


async def log_in(client: httpx.AsyncClient, token: str = TOKEN) -> httpx.Response:
    return await client.post("/login", json={"token": token}, headers=ORIGIN)


async def test_wrong_tokens_wait_longer_and_longer_up_to_a_bound() -> None:
    pauses: list[float] = []
    release, all_wait = asyncio.Event(), asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == WAITING:
            all_wait.set()
        await release.wait()

    gate = TokenGate(check_token, pause=pause, slowest_s=2.0)
    waiting = [asyncio.create_task(gate.check("wrong")) for _ in range(WAITING)]
    await all_wait.wait()
    assert pauses[0] < pauses[1] < pauses[2]
    assert max(pauses) == 2.0
    with pytest.raises(TooMany):
        await gate.check("wrong")
    await gate.check(TOKEN)  # the right one passes at once, whatever else is going on
    release.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(o) for o in outcomes} == {Unauthenticated}
    assert gate.wrong == WAITING + 1


async def test_a_session_needs_both_halves(anonymous: httpx.AsyncClient) -> None:
    key = (await log_in(anonymous)).json()["key"]
    assert (await anonymous.get(f"{PREFIX}/vms", headers={"X-Yamori-Key": key})).status_code == 200
    assert (await anonymous.get(f"{PREFIX}/vms")).status_code == 401
    assert (await anonymous.get(f"{PREFIX}/vms", headers={"X-Yamori-Key": "x" + key})).status_code == 401
    anonymous.cookies.clear()
    assert (await anonymous.get(f"{PREFIX}/vms", headers={"X-Yamori-Key": key})).status_code == 401


async def test_the_cookie_is_out_of_reach_of_programs_and_of_other_sites(anonymous: httpx.AsyncClient) -> None:
    words = (await log_in(anonymous)).headers["set-cookie"].lower()
    assert words.startswith(COOKIE)
    assert "httponly" in words
    assert "samesite=strict" in words
    assert "secure" not in words, "over plain HTTP a Secure cookie would never come back"
    assert TOKEN.lower() not in words


async def test_over_https_the_cookie_never_travels_in_the_clear(facade: FakeFacade) -> None:
    transport = httpx.ASGITransport(app=make_app(facade))
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1:8470") as client:
        answer = await client.post("/login", json={"token": TOKEN})
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_an_action_at_the_console_is_recorded_as_such(
    anonymous: httpx.AsyncClient, facade: FakeFacade
) -> None:
    key = (await log_in(anonymous)).json()["key"]
    await anonymous.post(f"{PREFIX}/vms/batch-7/release", json={}, headers={"X-Yamori-Key": key, **ORIGIN})
    assert facade.acted[0][1] == "console"


async def test_a_wrong_token_opens_no_session(anonymous: httpx.AsyncClient) -> None:
    answer = await log_in(anonymous, "wrong")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_another_page_cannot_log_somebody_in(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/login", json={"token": TOKEN}, headers={"Origin": "http://127.0.0.1:9999"})
    assert answer.status_code == 403


async def test_logging_out_ends_the_session(anonymous: httpx.AsyncClient) -> None:
    key = (await log_in(anonymous)).json()["key"]
    cookie = anonymous.cookies[COOKIE]
    await anonymous.post("/logout", headers={"X-Yamori-Key": key, **ORIGIN})
    anonymous.cookies.set(COOKIE, cookie)
    assert (await anonymous.get(f"{PREFIX}/vms", headers={"X-Yamori-Key": key})).status_code == 401


async def test_pages_lead_to_the_login_until_there_is_a_session(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/vms/x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    await log_in(anonymous)
    assert "<main" in (await anonymous.get("/vms/x")).text


async def test_every_answer_forbids_what_a_page_does_not_need(anonymous: httpx.AsyncClient) -> None:
    for path in ("/login", "/assets/main.js", "/", f"{PREFIX}/health", f"{PREFIX}/vms", "/nothing"):
        headers = (await anonymous.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers


def test_sessions_end_by_themselves_and_are_bounded() -> None:
    clock = [0.0]
    sessions = Sessions(lambda: clock[0])
    first = sessions.open()
    sessions.both(first.cookie, first.key)
    clock[0] = LIFE_S
    with pytest.raises(Unauthenticated):
        sessions.page(first.cookie)
    opened = [sessions.open() for _ in range(MOST + 1)]
    with pytest.raises(Unauthenticated):
        sessions.page(opened[0].cookie)
    sessions.page(opened[-1].cookie)
    with pytest.raises(Unauthenticated):
        sessions.both(opened[-1].cookie, opened[-2].key)
    with pytest.raises(Unauthenticated):
        sessions.both(opened[-1].cookie, "\ud800")


async def test_a_websocket_is_turned_away(facade: FakeFacade) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await make_app(facade)({"type": "websocket", "path": "/", "headers": []}, receive, send)  # type: ignore[arg-type]
    assert [m["type"] for m in sent] == ["websocket.close"]
