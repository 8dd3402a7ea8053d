"""Giving up root, looked at from outside: what /proc says of the process, and of a program that it starts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from yamori.agent.service.privileges import CAPABILITIES, held, mask
from yamori.model.errors import Defect

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
PROGRAM = """
import os, subprocess, sys
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"
from yamori.agent.service.privileges import unprivileged
unprivileged(frozenset({needs!r}), "nobody")
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
try:
    os.setuid(0)
    print("root again", flush=True)
except PermissionError:
    print("no way back", flush=True)
try:
    open("/etc/shadow").read()
    print("read it", flush=True)
except PermissionError:
    print("cannot read", flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


def status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return {name: value.strip() for name, value in re.findall(r"^(\w+):(.*)$", text, re.M)}


@pytest.mark.parametrize("needs", [(), ("CAP_NET_ADMIN",), ("CAP_NET_ADMIN", "CAP_SYS_NICE")])
def test_only_the_named_capabilities_are_left_for_it_and_for_what_it_starts(needs: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(needs=needs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        child = int(process.stdout.readline())
        assert process.stdout.readline() == "no way back\n"
        assert process.stdout.readline() == "cannot read\n"
        wanted = f"{mask(needs):016x}"
        for pid in (process.pid, child):
            told = status(pid)
            for field in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert told[field] == wanted, field
            assert told["NoNewPrivs"] == "1"
            assert set(told["Uid"].split()) == {"65534"}
            assert set(told["Gid"].split()) == {"65534"}
            assert "0" not in told["Groups"].split()
    finally:
        process.communicate("", timeout=30)
    assert process.returncode == 0


def test_the_names_are_those_of_the_kernel() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(CAPABILITIES) >= last
    assert CAPABILITIES[12] == "CAP_NET_ADMIN"
    assert CAPABILITIES[21] == "CAP_SYS_ADMIN"
    assert CAPABILITIES[23] == "CAP_SYS_NICE"
    assert mask(["CAP_CHOWN", "CAP_BPF"]) == 1 | 1 << 39
    assert held() == held(pid=os.getpid())
    with pytest.raises(Defect):
        mask(["CAP_FLY"])


def test_it_refuses_once_there_are_other_threads() -> None:
    code = (
        "import threading, time\n"
        "from yamori.agent.service.privileges import unprivileged\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "unprivileged(frozenset(), 'nobody')\n"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode != 0
    assert "after threads were started" in outcome.stderr


def test_without_its_user_it_does_not_run_at_all(tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(json.dumps({"user": "nobody-of-this-name", "state_dir": str(tmp_path)}))
    outcome = subprocess.run(
        [sys.executable, "-m", "yamori.agent", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert "there is no such user" in outcome.stderr
    assert "yamori agent install" in outcome.stderr
