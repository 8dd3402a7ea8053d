"""Installing: what it would do, what it does, and that a second time there is nothing left to do."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from yamori.agent.functions import Function, HostSettings
from yamori.agent.install.access import Access, hand_over, wanted
from yamori.agent.install.plan import Plan
from yamori.agent.install.steps import RunProgram, run
from yamori.agent.install.unit import unit
from yamori.agent.service.settings import AgentSettings, Settings
from yamori.model.errors import Failed, NotPermitted

USER = "daemon"
"""A user with a group of the same name that every Debian has: tests make none."""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")


def plan(root: Path, ran: list[tuple[str, ...]], **host: object) -> Plan:
    def runner(words: Sequence[str]) -> None:
        ran.append(tuple(words))
        if "enable" in words:
            link = root / "etc/systemd/system/multi-user.target.wants/yamori-agent.service"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/etc/systemd/system/yamori-agent.service")
        if "disable" in words:
            (root / "etc/systemd/system/multi-user.target.wants/yamori-agent.service").unlink()

    settings = Settings(agent=AgentSettings(user=USER), host=HostSettings.model_validate(host))
    return Plan(settings=settings, root=root, runner=runner)


def xen(root: Path) -> None:
    (root / "dev/xen").mkdir(parents=True)
    for name in ("privcmd", "evtchn", "gntdev"):
        (root / "dev/xen" / name).touch()


def test_a_dry_run_says_all_and_does_nothing(tmp_path: Path) -> None:
    xen(tmp_path)
    ran: list[tuple[str, ...]] = []
    made = plan(tmp_path, ran)
    outcomes = made.carry_out(made.install(service=True), dry_run=True)
    assert {o.outcome for o in outcomes} <= {"would", "already"}
    assert any(o.text is not None and "ExecStart=" in o.text for o in outcomes)
    assert any(o.text is not None and 'KERNEL=="xen/privcmd"' in o.text for o in outcomes)
    assert not (tmp_path / "etc").exists()
    assert ran == []


@root_only
def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    xen(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    ran: list[tuple[str, ...]] = []
    made = plan(tmp_path, ran)
    first = made.carry_out(made.install(service=True), dry_run=False)
    assert "did" in {o.outcome for o in first}
    assert [words[1] for words in ran] == ["daemon-reload", "enable", "restart"]
    state = tmp_path / "var/lib/yamori-agent"
    assert (state.stat().st_mode & 0o777, state.stat().st_uid) == (0o700, pwd.getpwnam(USER).pw_uid)
    assert (tmp_path / "etc/yamori/agent.yaml").stat().st_mode & 0o777 == 0o640
    rule = (tmp_path / "etc/udev/rules.d/60-yamori-agent.rules").read_text()
    assert 'KERNEL=="xen/privcmd", GROUP="daemon", MODE="0660"' in rule
    assert "gntdev" not in rule, "only what a function needs"
    ran.clear()
    again = plan(tmp_path, ran)
    assert {o.outcome for o in again.carry_out(again.install(service=True), dry_run=False)} == {"already"}
    assert ran == []


@root_only
def test_without_a_service_only_user_folders_and_rights_are_made(tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    made = plan(tmp_path, ran)
    made.carry_out(made.install(service=False), dry_run=False)
    assert not (tmp_path / "etc/systemd").exists()
    assert not (tmp_path / "etc/udev").exists(), "there is no Xen here"
    assert (tmp_path / "var/lib/yamori-agent").is_dir()
    assert ran == []


@root_only
def test_what_the_operator_wrote_stays_and_a_changed_unit_is_written_anew(tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    made = plan(tmp_path, ran)
    made.carry_out(made.install(service=True), dry_run=False)
    config = tmp_path / "etc/yamori/agent.yaml"
    config.write_text("host: {functions: [net]}\n")
    config.chmod(0o600)
    written = (tmp_path / "etc/systemd/system/yamori-agent.service").read_text()
    changed = plan(tmp_path, ran, functions=["cpu"])
    changed.carry_out(changed.install(service=True), dry_run=False)
    assert config.read_text() == "host: {functions: [net]}\n"
    assert (tmp_path / "etc/systemd/system/yamori-agent.service").read_text() != written


@root_only
def test_uninstalling_leaves_the_identity_unless_it_is_purged(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    ran: list[tuple[str, ...]] = []
    made = plan(tmp_path, ran)
    made.carry_out(made.install(service=True), dry_run=False)
    state = tmp_path / "var/lib/yamori-agent"
    (state / "identity.json").touch()
    (state / "lapses.json").touch()
    ran.clear()
    away = plan(tmp_path, ran)
    away.carry_out(away.uninstall(purge=False), dry_run=False)
    assert [words[1] for words in ran] == ["disable", "-m", "daemon-reload"]
    assert "let-go" in ran[1], "limits that were to end by themselves end before it is gone"
    assert (state / "identity.json").exists()
    assert not (tmp_path / "etc/systemd/system/yamori-agent.service").exists()
    ran.clear()
    (state / "lapses.json").unlink()
    away = plan(tmp_path, ran)
    away.carry_out(away.uninstall(purge=True), dry_run=False)
    assert not state.exists()
    assert ran == [("userdel", USER)]


def test_only_root_changes_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    made = plan(tmp_path, [])
    with pytest.raises(NotPermitted, match="only root"):
        made.carry_out(made.install(service=True), dry_run=False)


def test_a_program_that_fails_or_is_missing_is_told() -> None:
    with pytest.raises(Failed, match="is missing"):
        run(["no-such-program-here"])
    with pytest.raises(Failed, match="failed"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    step = RunProgram(words=("true",), why="to try", due=lambda: True)
    assert not step.is_done()
    step.do()


def settings(*functions: Function) -> HostSettings:
    return HostSettings(functions=frozenset(functions))


def test_a_unit_leaves_open_only_what_its_functions_need() -> None:
    shaping = unit(settings(Function.NET), user=USER, devices=())
    assert "CapabilityBoundingSet=CAP_NET_ADMIN\n" in shaping
    assert "PrivateDevices=yes" in shaping
    assert "ProtectControlGroups=yes" in shaping
    counting = unit(settings(Function.USAGE), user=USER, devices=("/dev/xen/privcmd",))
    assert "AmbientCapabilities=\n" in counting
    assert "CapabilityBoundingSet=\n" in counting
    assert "DevicePolicy=closed\nDeviceAllow=/dev/xen/privcmd rw" in counting
    assert "ProtectControlGroups=no" in unit(settings(Function.DISK), user=USER, devices=())
    odd = unit(settings(), user=USER, devices=(), python='/opt/my "py" $HOME/100%/python')
    assert 'ExecStart="/opt/my \\"py\\" $$HOME/100%%/python" -m yamori.agent run' in odd
    assert "ProtectHome=read-only" in unit(settings(), user=USER, devices=(), python="/home/a/venv/bin/python")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("functions", [(Function.NET,), tuple(Function)], ids=["net", "all"])
def test_systemd_takes_the_unit_and_finds_it_well_protected(
    tmp_path: Path, functions: tuple[Function, ...]
) -> None:
    path = tmp_path / "yamori-agent.service"
    path.write_text(unit(settings(*functions), user=USER, devices=()))
    for words in (["verify", str(path)], ["security", "--offline=true", "--threshold=35", str(path)]):
        outcome = subprocess.run(
            ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert "Unknown" not in outcome.stderr


def test_what_is_handed_over_follows_from_the_functions() -> None:
    found = wanted(settings(Function.DISK, Function.USAGE))
    assert "/dev/xen/privcmd" in found.devices
    assert "/sys/fs/cgroup/yamori" in found.owned
    assert wanted(settings()) == Access(shared=(), owned=())


@root_only
def test_rights_are_handed_over_once_and_links_are_left_alone(tmp_path: Path) -> None:
    device, link = tmp_path / "privcmd", tmp_path / "link"
    device.touch(mode=0o600)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    link.symlink_to(secret)
    groups = tmp_path / "groups"
    access = Access(shared=(str(device), str(link), str(tmp_path / "missing")), owned=(str(groups),))
    assert hand_over(access, USER) == (str(device), str(groups))
    assert device.stat().st_mode & 0o777 == 0o660
    assert device.stat().st_gid == pwd.getpwnam(USER).pw_gid
    assert secret.stat().st_gid == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    assert groups.stat().st_uid == pwd.getpwnam(USER).pw_uid
    assert hand_over(access, USER) == ()
