"""The program as the shell starts it: quick, quiet, honest about terminals, ended by signals."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from tests.web import scene
from tests.web.serving import Served
from yamori.cli.main import app

YAMORI = [sys.executable, "-c", "from yamori.cli.main import main; main()"]


def commands(group: object = None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = typer.main.get_command(app) if group is None else group
    if not isinstance(found, TyperGroup):
        return [path]
    return [leaf for name, below in found.commands.items() for leaf in commands(below, (*path, name))]


def on_terminal(*words: str, typed: bytes = b"", **environment: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; type ``typed`` once it asks something."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [*YAMORI, *words], stdin=its, stdout=its, stderr=its, env={**os.environ, "TERM": "xterm", **environment}
    )
    os.close(its)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                shown += os.read(mine, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
        if typed and b"?" in shown:
            os.write(mine, typed)
            typed = b""
    code = process.wait(10)
    os.close(mine)
    return code, shown.decode(errors="replace")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['yamori', '--help']\n"
        "from yamori.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(','.join(sorted(sys.modules)), file=sys.stderr)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(outcome.stderr.split(","))
    heavy = {"fastapi", "httpx", "nicegui", "numpy", "sqlalchemy", "alembic", "uvicorn", "libvirt", "cryptography"}
    assert loaded & heavy == set()
    assert "Begin with: yamori demo --simulated" in outcome.stdout


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    from tests.cli.conftest import typed

    told = typed(*path, "--help")
    assert told.code == 0
    assert f"  yamori {' '.join(path)}" in told.out.partition("Example")[2]


ACTS = {
    ("throttle",),
    ("release",),
    ("migrate",),
    ("undo",),
    ("lab", "down"),
    ("agent", "install"),
    ("agent", "uninstall"),
}
NO_JSON = {("policy", "schema"), ("firewall", "schema"), ("ledger", "export"), ("lab", "config")}
"""They print JSON and nothing else."""


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_speaks_json_and_all_that_act_can_be_tried(path: tuple[str, ...]) -> None:
    from tests.cli.conftest import typed

    told = typed(*path, "--help").out
    assert ("--json" in told) is (path not in NO_JSON)
    assert ("--dry-run" in told) is (path in ACTS)


def test_version() -> None:
    outcome = subprocess.run([*YAMORI, "--version"], capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("yamori ")


def test_a_reader_that_closes_early_is_no_error(service: Served) -> None:
    process = subprocess.Popen([*YAMORI, "ledger", "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    assert b"Traceback" not in complaint
    assert process.wait(30) in {0, 1}
    process.stderr.close()


def test_colours_are_for_terminals_and_not_for_those_who_do_not_want_them(service: Served) -> None:
    code, shown = on_terminal("fleet")
    assert code == 0
    assert "\x1b[" in shown
    code, shown = on_terminal("fleet", NO_COLOR="1")
    assert code == 0
    assert "\x1b[" not in shown
    piped = subprocess.run([*YAMORI, "fleet"], capture_output=True, text=True, check=True).stdout
    assert "\x1b" not in piped


def test_top_lives_on_a_terminal_until_ctrl_c_and_leaves_it_as_it_was(service: Served) -> None:
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 90, 0, 0))
    process = subprocess.Popen(
        [*YAMORI, "top", "--interval", "0.2"],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(its)
    shown = b""
    deadline = time.monotonic() + 60
    while shown.count(b"web-1") < 3 and time.monotonic() < deadline:
        shown += os.read(mine, 65536)
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 60  # somebody must go on reading: a program whose terminal is full cannot end
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                shown += os.read(mine, 65536)
            except OSError:
                break
    assert process.wait(60) == 0
    os.close(mine)
    text = shown.decode(errors="replace")
    assert "legacy-erp" in text, "names are not cut on a narrow screen"
    assert "NET IN" not in text
    assert text.rstrip().endswith("\x1b[?1049l")


def test_a_move_asks_back_on_a_terminal_and_says_before_how_it_would_go(service: Served) -> None:
    code, shown = on_terminal("migrate", "mail", "--to", "rack-b", typed=b"n\r")
    assert code == 3
    assert "Forecast: live; it pauses for a moment, about 300ms" in shown
    assert "Move mail from rack-a to rack-b?" in shown
    assert [dry_run for *_, dry_run in service.facade.acted] == [True]
    code, shown = on_terminal("migrate", "mail", "--to", "rack-b", typed=b"y\r")
    assert code == 0
    assert [dry_run for *_, dry_run in service.facade.acted] == [True, True, False]


def test_whoever_is_asked_knows_that_the_vm_will_stand_still_and_where_it_goes(service: Served) -> None:
    service.facade.still.add(scene.vm_id(4))
    code, shown = on_terminal("migrate", "mail", typed=b"y\r")
    assert code == 3
    assert "stands still while 2 GiB are sent" in shown
    assert "Move mail" not in shown, "what would be refused is not asked"
    code, shown = on_terminal("migrate", "mail", "--stopping", typed=b"y\r")
    assert code == 0
    assert "NOT live: it stands still meanwhile, about 21.5s" in shown
    assert "Move mail from rack-a to rack-b?" in shown, "where Yamori would put it"
    assert service.facade.acted[-1][0].to == "rack-b"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_it_is_asked_to_end(tmp_path: Path, number: signal.Signals) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("endpoints:\n- {name: sim, driver: simulator, world: up}\n")
    state = tmp_path / "state"
    words = ["up", "--config", str(fleet), "--state-dir", str(state), "--listen", "127.0.0.1:0", "--json"]
    process = subprocess.Popen([*YAMORI, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        assert told["state_dir"] == str(state)
        here = ["--state-dir", str(state)]
        status = subprocess.run([*YAMORI, "status", "--json", *here], capture_output=True, text=True, check=True)
        assert json.loads(status.stdout)["url"] == told["url"]
        second = subprocess.run([*YAMORI, *words], capture_output=True, text=True, check=False)
        assert second.returncode == 3
        assert "Traceback" not in second.stderr
    finally:
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert not (state / "service.json").exists()


def test_a_real_service_is_asked_stopped_and_its_record_replayed(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("tick_s: 0.2\nendpoints:\n- {name: sim, driver: simulator, world: asked, follow: 1.0}\n")
    state = str(tmp_path / "state")
    process = subprocess.Popen(
        [*YAMORI, "up", "--config", str(fleet), "--state-dir", state, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(*words: str) -> str:
        found = subprocess.run(
            [*YAMORI, *words, "--state-dir", state], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("Yamori serves at http://127.0.0.1:")
        deadline = time.monotonic() + 60
        while "silver" not in ask("fleet") and time.monotonic() < deadline:
            time.sleep(0.2)
        vm = next(
            v["vm"]["id"] for v in json.loads(ask("fleet", "--json")) if v["vm"]["labels"]["sla"] == "silver"
        )
        assert "read back: limits cpu 0.5 cores" in ask("throttle", vm, "--cpu", "0.5", "--for", "5m")
        run = json.loads(ask("runs", "--json"))[0]["id"]
        assert "ruled allow by rule operators:default" in ask("explain", run)
        assert f"run {run}: undone" in ask("undo", run)
        assert "the chain holds" in ask("ledger", "verify")
        events = [json.loads(line) for line in ask("ledger", "export", "--ocsf").splitlines()]
        assert {event["metadata"]["version"] for event in events} == {"1.8.0"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    policy = str(Path(__file__).parents[2] / "examples" / "policies" / "contain.yaml")
    assert json.loads(ask("policy", "replay", policy, "--json"))["ticks"] > 0
    assert "readings over" in ask("policy", "replay", policy)


def test_completion_offers_names_from_the_running_service_and_nothing_otherwise(
    service: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from yamori.cli import completion

    assert completion.vm_names("web") == ["web-1", "web-2"]
    assert "rack-a" in completion.host_ids("")
    assert completion.run_ids("run-")
    assert completion.finding_ids("finding-0004") == ["finding-0004"]
    assert all(" " not in name for name in completion.vm_names(""))
    monkeypatch.setenv("YAMORI_STATE_DIR", str(tmp_path / "none"))
    assert completion.vm_names("") == []
