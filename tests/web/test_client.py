"""The Python client, against a running service."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web import scene
from tests.web.serving import TOKEN, Served, served
from tests.web.test_overview import crowd
from yamori.model.errors import (
    Conflict,
    Failed,
    Invalid,
    NotFound,
    NotPermitted,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from yamori.model.run import RunState
from yamori.trust.token import FILE
from yamori.web import service_file
from yamori.web.api.table import ROUTES
from yamori.web.client import Client
from yamori.web.errors import rebuilt


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def client(service: Served) -> Iterator[Client]:
    with Client(service.url, TOKEN) as connected:
        yield connected


def test_every_route_has_its_method(client: Client) -> None:
    names = {"ledger_verify": "verify_ledger"}
    assert not [r for r in ROUTES if not callable(getattr(client, names.get(r, r), None))]


def test_every_reading_method_answers(client: Client) -> None:
    assert client.health() == {"status": "up"}
    assert client.service()["version"] == "1.2.3"
    assert client.openapi()["openapi"] == "3.1.0"
    assert {e["name"] for e in client.endpoints()} == {"rack-a", "rack-b", "rack-c"}
    assert client.fleet(search="web")["vms"] == 2
    assert client.vm("mail")["vm"]["id"] == scene.vm_id(4)
    assert len(client.history("mail", seconds=10)["times"]) == 10
    assert client.limits("mail")["settable"]
    assert client.support()["endpoints"]["rack-c"] is None
    assert len(client.findings(open_only=True)) == 1
    assert client.finding("finding-0004")["cause"] == scene.vm_id(3)
    assert client.rulings(limit=1)[0]["number"] == 12
    assert client.runs(limit=2)[0]["id"] == "run-0007"
    assert client.run("run-0007")["entries"]
    assert client.explain("run-0007")["lines"]
    assert client.wait("run-0007")["state"] == "verified"
    assert client.policy().startswith("version: 1")
    assert [r["number"] for r in client.ledger(after=40, limit=3)] == [41, 42, 43]
    assert client.verify_ledger() == 48
    assert client.kill_switch() == {"on": False, "by": None, "reason": None, "since": None}
    assert "yamori_endpoint_up" in client.metrics()


def test_listing_a_large_fleet_goes_page_by_page() -> None:
    from tests.web.fake_facade import FakeFacade

    with served(FakeFacade(crowd(1_203))) as large, Client(large.url, TOKEN) as client:
        assert len(client.vms()) == 1_203
        assert len(client.vms(limit=501)) == 501
        assert len(client.vms(search="vm-00012")) == 10


def test_acting_methods_return_the_ruling_and_the_run(client: Client, service: Served) -> None:
    ruled = client.throttle("mail", {"cpu_cap": 0.5}, expires_after_s=60, reason="noisy", dry_run=True)
    assert ruled["decision"]["verdict"] == "allow"
    assert service.facade.acted[-1][3] is True
    with pytest.raises(Conflict):
        client.release("cache")
    assert client.migrate("mail", to="rack-b")["run"]["state"] == "verified"
    assert client.undo("run-0007")["state"] == "undone"
    assert client.throw_kill_switch(on=True, reason="rack 4")["on"] is True


def test_waiting_too_long_is_timed_out(client: Client, service: Served) -> None:
    stuck = dataclasses.replace(scene.run(3, RunState.VERIFIED), state=RunState.APPLYING)
    service.facade._runs[stuck.id] = stuck
    with pytest.raises(TimedOut, match="applying"):
        client.wait(stuck.id, timeout_s=0.01)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_never_sent(client: Client, name: str) -> None:
    with pytest.raises(NotFound):
        client.vm(name)


@pytest.mark.parametrize("name", ["a/b", "../ledger/verify", "mail/history?seconds=1", "%2e%2e", "ä\n\x00", "#x"])
def test_a_strange_name_finds_nothing(client: Client, name: str) -> None:
    with pytest.raises(NotFound):
        client.vm(name)


def test_a_wrong_token_is_not_permitted(service: Served) -> None:
    with Client(service.url, "wrong") as client, pytest.raises(NotPermitted, match="the token is wrong"):
        client.vms()


def test_the_service_is_found_by_its_state_directory(service: Served, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="yamori up"):
        Client.from_state_dir(tmp_path)
    service_file.write(tmp_path, service.url)
    with pytest.raises(Unreachable, match="token is missing"):
        Client.from_state_dir(tmp_path)
    (tmp_path / FILE).write_text(TOKEN + "\n")
    (tmp_path / FILE).chmod(0o600)
    with Client.from_state_dir(tmp_path) as client:
        assert client.vms(limit=1)
    service_file.remove(tmp_path)
    service_file.remove(tmp_path)
    assert not (tmp_path / service_file.NAME).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 7}', '{"url": "file:///etc/passwd"}'])
def test_a_malformed_service_file_says_how_to_mend_it(tmp_path: Path, text: str) -> None:
    (tmp_path / service_file.NAME).write_text(text)
    with pytest.raises(Invalid, match="restart yamori up"):
        service_file.read(tmp_path)


def test_a_service_that_is_gone_is_unreachable_with_the_way_to_start_it() -> None:
    with served() as gone:
        url = gone.url
    with Client(url, TOKEN) as client, pytest.raises(Unreachable, match="yamori up"):
        client.vms()


def answering(status: int, content: bytes) -> Client:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=content)

    return Client("http://127.0.0.1:1", TOKEN, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("content", [b"<html>", b"\xff", b"[]", b"null", b'"x"'])
def test_an_answer_that_is_not_ours_is_a_failure_not_a_crash(content: bytes) -> None:
    with answering(200, content) as client, pytest.raises(Failed):
        client.vm("mail")
    with answering(502, content) as client, pytest.raises(Failed):
        client.vm("mail")


def test_a_proxy_of_the_environment_never_sees_the_token(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Client(service.url, TOKEN) as client:
        assert client.health() == {"status": "up"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, None, NotFound),
        (418, {"error": "x"}, Refused),
        (409, {"error": {"code": "from_the_future", "message": "x"}}, Conflict),
        (503, {}, Unreachable),
        (502, {"error": {"code": ["x"], "message": {}, "mend": 5}}, Failed),
        (422, {"error": {"code": "unsupported", "message": "limits: cannot"}}, Unsupported),
    ],
)
def test_errors_of_other_versions_are_judged_by_their_status(
    status: int, body: object, kind: type[Exception]
) -> None:
    assert isinstance(rebuilt(status, json.loads(json.dumps(body))), kind)
