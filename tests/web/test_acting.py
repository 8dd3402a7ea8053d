"""What the acting routes ask of the control plane."""

import asyncio
import json

import httpx
import pytest

from tests.web import scene
from tests.web.fake_facade import FakeFacade, every_error
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import Conflict, YamoriError
from yamori.model.limits import LimitKind
from yamori.web.api.once import Once
from yamori.web.api.table import PREFIX
from yamori.web.errors import rebuilt, status_of

THROTTLE = {"limits": {"cpu_cap": 0.5}, "expires_after_s": 60, "reason": "too noisy"}


async def test_a_throttle_is_asked_for_by_id_with_who_and_why(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    answer = await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE)
    assert answer.status_code == 200, answer.text
    action = Throttle(vm=scene.vm_id(4), limits={LimitKind.CPU_CAP: 0.5}, expires_after_s=60)
    assert facade.acted == [(action, "token", "too noisy", False)]
    assert answer.json()["decision"]["verdict"] == "allow"
    assert answer.json()["run"]["state"] == "verified"


async def test_release_migrate_and_undo_are_asked_for(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    await api.post(f"{PREFIX}/vms/batch-7/release", json={"dry_run": True})
    await api.post(f"{PREFIX}/vms/mail/migrate", json={"to": "rack-b", "reason": "fits better"})
    await api.post(f"{PREFIX}/runs/run-0007/undo")
    release, migrate, undo = facade.acted
    assert release[0] == Release(vm=scene.vm_id(3))
    assert release[3] is True
    assert migrate[0] == Migrate(vm=scene.vm_id(4), to="rack-b")
    assert undo == ("undo", "run-0007", "token")


async def test_a_dry_run_tells_how_a_move_would_go_and_stopping_is_taken(
    api: httpx.AsyncClient, facade: FakeFacade
) -> None:
    answer = await api.post(f"{PREFIX}/vms/mail/migrate", json={"to": "rack-b", "dry_run": True})
    assert answer.json()["run"]["before"]["forecast"]["live"] is True
    facade.still.add(scene.vm_id(4))
    refused = await api.post(f"{PREFIX}/vms/mail/migrate", json={"to": "rack-b", "dry_run": True})
    assert refused.json()["error"]["code"] == "unsupported"
    assert "`stopping`" in refused.json()["error"]["mend"]
    answer = await api.post(f"{PREFIX}/vms/mail/migrate", json={"to": "rack-b", "stopping": True, "dry_run": True})
    told = answer.json()
    assert told["run"]["before"]["forecast"]["downtime_s"] == 21.5
    assert told["decision"]["action"]["stopping"] is True
    assert facade.acted[-1][0] == Migrate(vm=scene.vm_id(4), to="rack-b", stopping=True)
    odd = await api.post(f"{PREFIX}/vms/mail/migrate", json={"stopping": "perhaps"})
    assert odd.status_code in (400, 422)


async def test_the_kill_switch_is_thrown_with_who_and_why(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    assert (await api.get(f"{PREFIX}/kill-switch")).json()["on"] is False
    answer = await api.post(f"{PREFIX}/kill-switch/throw", json={"on": True, "reason": "rack 4"})
    assert answer.status_code == 200, answer.text
    assert facade.acted == [("kill_switch", True, "token", "rack 4")]
    told = (await api.get(f"{PREFIX}/kill-switch")).json()
    assert (told["on"], told["by"], told["reason"]) == (True, "operator:token", "rack 4")
    for body in ({"on": True}, {"on": True, "reason": ""}, {"on": "perhaps", "reason": "x"}, {"reason": "x"}):
        assert (await api.post(f"{PREFIX}/kill-switch/throw", json=body)).status_code in (400, 422)
    assert len(facade.acted) == 1


async def test_a_reason_cannot_carry_control_characters_into_the_record(
    api: httpx.AsyncClient, facade: FakeFacade
) -> None:
    body = {**THROTTLE, "reason": "noisy\x1b[31m\nforged: line\u202e"}
    await api.post(f"{PREFIX}/vms/mail/throttle", json=body)
    assert facade.acted[0][2] == "noisy [31m forged: line"


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {}},
        {"limits": {"cpu_cap": 0}},
        {"limits": {"cpu_cap": -1}},
        {"limits": {"cpu_cap": "much"}},
        {"limits": {"cpu_fan": 1}},
        {"limits": {"cpu_cap": 1e400}},
        {"expires_after_s": 0},
        {"expires_after_s": 1e9},
        {"expires_after_s": None},
        {"reason": ""},
        {"reason": "\n\t"},
        {"reason": "x" * 501},
        {"surprise": 1},
    ],
    ids=str,
)
async def test_a_malformed_throttle_names_the_fault_and_changes_nothing(
    api: httpx.AsyncClient, facade: FakeFacade, change: dict[str, object]
) -> None:
    answer = await api.post(
        f"{PREFIX}/vms/mail/throttle", content=json.dumps({**THROTTLE, **change}), headers=JSON
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"
    assert next(iter(change)) in answer.json()["error"]["message"]
    assert facade.acted == []


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_are_none_are_refused(api: httpx.AsyncClient, facade: FakeFacade, number: str) -> None:
    body = json.dumps(THROTTLE).replace("0.5", number)
    answer = await api.post(f"{PREFIX}/vms/mail/throttle", content=body, headers=JSON)
    assert answer.status_code == 422
    assert facade.acted == []


async def test_the_same_key_does_it_once_and_answers_the_same(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    async def ask() -> httpx.Response:
        return await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE, headers={"Idempotency-Key": "k1"})

    first, second, third = await asyncio.gather(ask(), ask(), ask())
    assert first.json() == second.json() == third.json()
    assert len(facade.acted) == 1


async def test_the_same_key_for_something_else_is_a_conflict(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    key = {"Idempotency-Key": "k1"}
    await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE, headers=key)
    other = await api.post(f"{PREFIX}/vms/mail/throttle", json={**THROTTLE, "expires_after_s": 61}, headers=key)
    elsewhere = await api.post(f"{PREFIX}/vms/cache/throttle", json=THROTTLE, headers=key)
    assert other.status_code == elsewhere.status_code == 409
    assert len(facade.acted) == 1


async def test_a_refusal_is_remembered_under_its_key_too(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    key = {"Idempotency-Key": "k2"}
    facade.raises["request"] = Conflict("not now")
    first = await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE, headers=key)
    facade.raises.clear()
    second = await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE, headers=key)
    assert first.status_code == second.status_code == 409
    assert facade.acted == []


async def test_keys_are_forgotten_after_a_day_and_never_without_bound() -> None:
    clock = [0.0]
    done: list[int] = []
    once = Once(lambda: clock[0])

    async def work() -> int:
        done.append(1)
        return len(done)

    assert await once.do("k", b"r", work) == 1
    assert await once.do("k", b"r", work) == 1
    clock[0] = 86_401.0
    assert await once.do("k", b"r", work) == 2
    for number in range(10_050):
        await once.do(f"k{number}", b"r", work)
    assert len(once._asked) <= 10_000


@pytest.mark.parametrize("error", every_error(), ids=lambda e: e.code)
async def test_every_error_crosses_the_wire_and_comes_back_as_itself(
    api: httpx.AsyncClient, facade: FakeFacade, error: YamoriError
) -> None:
    error.subject, error.mend = "mail", "try this"
    facade.raises["request"] = error
    answer = await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE)
    assert answer.status_code == status_of(type(error))
    back = rebuilt(answer.status_code, answer.json())
    assert back.code == error.code
    if error.code != "defect":
        assert back.message == error.message
        assert back.subject == "mail"


async def test_a_fault_of_ours_shows_a_number_and_no_internals(
    api: httpx.AsyncClient, facade: FakeFacade, caplog: pytest.LogCaptureFixture
) -> None:
    facade.raises["request"] = RuntimeError("secret path /etc/shadow")
    answer = await api.post(f"{PREFIX}/vms/mail/throttle", json=THROTTLE)
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["code"] == "defect"
    assert "shadow" not in answer.text
    number = error["subject"].removeprefix("incident ")
    assert any(number in r.getMessage() and r.exc_info for r in caplog.records)


async def test_an_agent_is_invited_with_a_command_that_holds_the_token(
    api: httpx.AsyncClient, facade: FakeFacade
) -> None:
    answer = await api.post("/api/v1/agents/rack-b/invite", json={})
    assert answer.status_code == 200
    told = answer.json()
    assert told["token"] in told["command"]
    assert told["command"].startswith("yamori agent enrol --controller 10.0.0.1:8471 --token ")
    assert facade.acted == [("invite_agent", "rack-b", "token")]


async def test_an_agent_is_revoked_with_a_reason(api: httpx.AsyncClient, facade: FakeFacade) -> None:
    answer = await api.post("/api/v1/agents/rack-a/revoke", json={"reason": "stolen"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "revoked"
    assert facade.acted == [("revoke_agent", "rack-a", "token", "stolen")]
    assert (await api.post("/api/v1/agents/rack-a/revoke", json={})).status_code == 422
    assert (await api.post("/api/v1/agents/nobody/revoke", json={"reason": "x"})).status_code == 404


async def test_the_agents_are_listed(api: httpx.AsyncClient) -> None:
    items = (await api.get("/api/v1/agents")).json()["items"]
    assert [(a["name"], a["state"], a["connected"]) for a in items] == [
        ("rack-a", "enrolled", True),
        ("rack-b", "enrolled", False),
        ("rack-c", "revoked", False),
    ]
