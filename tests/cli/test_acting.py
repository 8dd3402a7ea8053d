"""Commands that act: what they ask for, what they tell, how they end."""

import dataclasses
import json

import pytest

from tests.cli.conftest import Type
from tests.web import scene
from tests.web.serving import Served
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.errors import Conflict, Failed, NotPermitted, Unreachable, Unsupported, Untrusted
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Verdict
from yamori.model.run import Run, RunState


def test_throttle_reads_human_units(service: Served, run: Type) -> None:
    told = run(
        *(
            "throttle",
            "mail",
            "--cpu",
            "0.5",
            "--weight",
            "2",
            "--memory",
            "512M",
            "--iops",
            "1k",
            "--bandwidth",
            "5M",
        ),
        *("--net-in", "1MiB/s", "--net-out", "800kB", "--for", "1h30m", "--reason", "backup night"),
    )
    assert told.code == 0
    action, _, reason, dry_run = service.facade.acted[-1]
    assert isinstance(action, Throttle)
    assert action.limits == {
        LimitKind.CPU_CAP: 0.5,
        LimitKind.CPU_WEIGHT: 2.0,
        LimitKind.MEMORY: 512 * 2**20,
        LimitKind.DISK_IOPS: 1000.0,
        LimitKind.DISK_BANDWIDTH: 5e6,
        LimitKind.NET_IN: 2**20,
        LimitKind.NET_OUT: 8e5,
    }
    assert (action.expires_after_s, reason, dry_run) == (5400.0, "backup night", False)
    assert "policy: allow by throttle-bronze" in told.out
    assert ": verified" in told.out


def test_a_dry_run_asks_for_a_dry_run_and_says_that_nothing_was_changed(service: Served, run: Type) -> None:
    for words in (
        ("throttle", "mail", "--cpu", "1", "--for", "5m"),
        ("release", "batch-7"),
        ("migrate", "mail", "--to", "rack-b"),
    ):
        told = run(*words, "--dry-run")
        assert told.code == 0
        assert service.facade.acted[-1][3] is True
        assert "dry run: nothing was changed" in told.out
    assert service.facade.vm("mail").vm.host == "rack-a"


def test_release_and_migrate_do_what_they_say(service: Served, run: Type) -> None:
    assert run("release", "batch-7").code == 0
    assert isinstance(service.facade.acted[-1][0], Release)
    told = run("migrate", "mail", "--to", "rack-b", "--yes", "--json")
    assert told.code == 0
    assert service.facade.acted[-1][0] == Migrate(vm=scene.vm_id(4), to="rack-b")  # type: ignore[arg-type]
    assert told.json["run"]["state"] == "verified"
    assert told.err == ""


def test_a_dry_run_tells_how_long_a_vm_would_stand_still(service: Served, run: Type) -> None:
    told = run("migrate", "mail", "--to", "rack-b", "--dry-run")
    assert "forecast: live; it pauses for a moment, about 300ms" in told.out
    service.facade.still.add(scene.vm_id(4))
    told = run("migrate", "mail", "--to", "rack-b", "--dry-run")
    assert told.code == 3
    assert "stands still while 2 GiB are sent" in told.err
    assert "stopping" in told.err
    told = run("migrate", "mail", "--to", "rack-b", "--dry-run", "--stopping")
    assert told.code == 0
    assert "forecast: NOT live: it stands still meanwhile, about 21.5s" in told.out
    assert "\x1b" not in told.out
    assert run("migrate", "mail", "--dry-run", "--stopping", "--json").json["run"]["before"]["forecast"] == {
        "live": False,
        "downtime_s": 21.5,
        "why": "it stands still\x1b while 2 GiB are sent",
    }
    assert service.facade.vm("mail").vm.host == "rack-a"


def test_a_move_that_may_stop_the_vm_is_asked_for_as_such(service: Served, run: Type) -> None:
    service.facade.still.add(scene.vm_id(4))
    assert run("migrate", "mail", "--to", "rack-b", "--yes").code == 3
    assert run("migrate", "mail", "--to", "rack-b", "--yes", "--stopping").code == 0
    assert service.facade.acted[-1][0] == Migrate(vm=scene.vm_id(4), to="rack-b", stopping=True)  # type: ignore[arg-type]


def test_a_move_needs_a_yes_where_nobody_can_be_asked(service: Served, run: Type) -> None:
    told = run("migrate", "mail", "--to", "rack-b")
    assert told.code == 2
    assert "add --yes" in told.err
    assert service.facade.acted == []


def test_undo_puts_back_and_its_dry_run_does_not(service: Served, run: Type) -> None:
    name = next(r["id"] for r in run("runs", "--json").json if r["state"] == "verified")
    told = run("undo", name, "--dry-run")
    assert told.code == 0
    assert "would undo throttle" in told.out
    assert service.facade.acted == []
    told = run("undo", name)
    assert told.code == 0
    assert f"run {name}: undone" in told.out
    again = run("undo", name)
    assert again.code == 3
    assert "there is nothing to undo" in again.err
    assert run("undo", name, "--dry-run").code == 3


def ruled(service: Served, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, state: RunState | None) -> None:
    """Let the stand-in answer with this decision and a run that ended so."""

    async def request(action: Throttle, *, by: str, reason: str, dry_run: bool) -> tuple[Decision, Run | None]:
        decision = dataclasses.replace(scene.decision(verdict), action=action)
        if state is None:
            return decision, None
        found = scene.run(99, state, error=None if state is RunState.VERIFIED else "it\x1b did not obey")
        service.facade._runs[found.id] = found
        return decision, found

    monkeypatch.setattr(service.facade, "request", request, raising=False)


@pytest.mark.parametrize("verdict", [Verdict.DENY, Verdict.ASK, Verdict.OBSERVE_ONLY])
def test_what_policy_does_not_allow_ends_with_code_3_and_its_reason(
    service: Served, run: Type, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    ruled(service, monkeypatch, verdict, None)
    for json_wanted in ((), ("--json",)):
        told = run("throttle", "mail", "--cpu", "1", "--for", "5m", *json_wanted)
        assert told.code == 3
    told = run("throttle", "mail", "--cpu", "1", "--for", "5m")
    assert f"policy: {verdict.value.replace('_', ' ')} by throttle-bronze: " in told.out
    assert "nothing was changed" in told.out


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RunState.VERIFIED, 0),
        (RunState.REFUSED, 3),
        (RunState.UNDONE, 1),
        (RunState.ABANDONED, 1),
    ],
)
def test_the_end_of_the_run_is_the_exit_code(
    service: Served, run: Type, monkeypatch: pytest.MonkeyPatch, state: RunState, code: int
) -> None:
    ruled(service, monkeypatch, Verdict.ALLOW, state)
    told = run("throttle", "mail", "--cpu", "1", "--for", "5m")
    assert told.code == code
    assert "\x1b" not in told.out
    assert ("because: it\\x1b did not obey" in told.out) is (code != 0)


def test_no_wait_returns_while_the_run_goes_on(
    service: Served, run: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled(service, monkeypatch, Verdict.ALLOW, RunState.APPLYING)
    told = run("throttle", "mail", "--cpu", "1", "--for", "5m", "--no-wait")
    assert told.code == 0
    assert "run-0099: applying" in told.out


def test_a_run_that_takes_longer_than_watched_is_said_to_go_on(
    service: Served, run: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled(service, monkeypatch, Verdict.ALLOW, RunState.APPLYING)
    told = run("migrate", "mail", "--yes", "--timeout", "10ms")
    assert told.code == 4
    assert "it goes on: yamori runs run-0099" in told.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("another run is under way"), 3),
        (NotPermitted("not yours"), 3),
        (Unsupported("limits", "this host cannot"), 3),
        (Unreachable("the host is away"), 4),
        (Failed("it broke"), 1),
        (Untrusted("the certificate is wrong"), 5),
    ],
)
def test_every_kind_of_error_has_its_code_and_one_line(
    service: Served, run: Type, error: Exception, code: int
) -> None:
    service.facade.raises["request"] = error
    told = run("release", "batch-7")
    assert (told.code, told.out) == (code, "")
    assert len(told.err.splitlines()) == 1
    as_json = run("release", "batch-7", "--json")
    assert as_json.code == code
    assert '"code"' in as_json.err


def test_the_kill_switch_is_thrown_shown_and_let_go(service: Served, run: Type) -> None:
    assert run("kill-switch").out == "kill switch off: policy rules\n"
    told = run("kill-switch", "on", "--reason", "rack 4")
    assert told.code == 0
    assert "kill switch ON: modules only observe" in told.out
    assert "by operator:token: rack 4" in told.out
    assert service.facade.acted == [("kill_switch", True, "token", "rack 4")]
    assert "kill switch ON" in run("status").out
    assert json.loads(run("status", "--json").out)["kill_switch"]["on"] is True
    assert json.loads(run("kill-switch", "off", "--json").out)["on"] is False
    assert "kill switch" not in run("status").out
    assert run("kill-switch", "perhaps").code == 2
