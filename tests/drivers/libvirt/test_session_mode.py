"""An ordinary user's own libvirt: what it can do works, the rest is told with the reason."""

import json
import os
import pwd
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import yamori
from tests.lab_session import why_not

pytestmark = pytest.mark.lab

USER = "nobody"
CHILD = Path(__file__).with_name("session_child.py")
# A checkout in root's home is invisible to others; in a mount namespace of its own it shows up elsewhere.
SCRIPT = """
set -e
for name in prefix libraries sources tests; do
  eval "from=\\$$name"
  mount --bind "$from" "$place/$name"
done
exec setpriv --reuid {uid} --regid {gid} --clear-groups env -i \\
  PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME="$place/home" XDG_RUNTIME_DIR="$place/home/run" \\
  XDG_CONFIG_HOME="$place/home/config" XDG_CACHE_HOME="$place/home/cache" \\
  PYTHONHOME="$place/prefix" PYTHONPATH="$place/sources:$place/libraries" PYTHONDONTWRITEBYTECODE=1 \\
  "$place/prefix/{python}" "$place/tests/{child}" "$place/home"
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the driver said as an ordinary user."""
    if (reason := why_not()) is not None:
        pytest.skip(f"NO SESSION MODE ON THIS MACHINE: {reason}")
    user = pwd.getpwnam(USER)
    place = Path("/var/tmp") / f"yamori-session-{os.getpid()}"
    place.mkdir(mode=0o755)
    for name in ("prefix", "libraries", "sources", "tests", "home", "home/run", "home/config", "home/cache"):
        (place / name).mkdir(mode=0o755)
    for folder in (place / "home", *(place / "home").iterdir()):
        os.chown(folder, user.pw_uid, user.pw_gid)
    real = Path(os.path.realpath(sys.executable))
    script = SCRIPT.format(
        uid=user.pw_uid, gid=user.pw_gid, python=real.relative_to(sys.base_prefix), child=CHILD.name
    )
    places = {
        "place": str(place),
        "prefix": sys.base_prefix,
        "libraries": sysconfig.get_path("platlib"),
        "sources": str(Path(yamori.__file__).parent.parent),
        "tests": str(CHILD.parent),
    }
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            env={"PATH": os.environ["PATH"], **places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        yield json.loads(done.stdout)
    finally:
        _end_daemon(place / "home" / "run" / "libvirt" / "libvirtd.pid")
        subprocess.run(["rm", "-rf", "--one-file-system", str(place)], check=True)


def _end_daemon(pid_file: Path) -> None:
    """End the user's libvirtd, which its first connection started."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def test_it_runs_as_an_ordinary_user_and_sees_its_vms(told: dict[str, Any]) -> None:
    assert told["uid"] == pwd.getpwnam(USER).pw_uid
    assert told["seen"]


def test_disk_limits_work(told: dict[str, Any]) -> None:
    assert told["tried"]["disk_iops"] == told["tried"]["disk_bandwidth"] == "set"
    assert told["values"]["disk_iops"] == 100.0
    assert told["values"]["disk_bandwidth"] == 1e6
    assert told["cells"]["limits.disk_iops"][0] == "native"


@pytest.mark.parametrize("kind", ["cpu_cap", "cpu_weight"])
def test_cpu_limits_are_refused_and_the_matrix_says_why(told: dict[str, Any], kind: str) -> None:
    level, reason = told["cells"][f"limits.{kind}"]
    assert level == "none"
    assert "session mode" in reason
    assert told["tried"][kind] == "Unsupported"
    assert "session mode" in told["unknown"][kind]


def test_the_rest_is_told_with_a_reason(told: dict[str, Any]) -> None:
    assert not told["migration"]
    for feature, (level, reason) in told["cells"].items():
        assert level == "native" or reason, feature
    assert told["tried"]["net_in"] in {"Unsupported", "Rejected"}
