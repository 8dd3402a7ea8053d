"""The maker of a Xen host is killed while it makes the image, boots or restores it: nothing is left, nowhere."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.traces import traces
from yamori.lab import slot
from yamori.lab.layout import CACHE_ROOT, Layout
from yamori.lab.leftovers import find_leftovers

MAKER = """
import asyncio, sys
from yamori.lab.lab import Lab
from yamori.lab.spec import LabSpec
def say(text):
    print(text, flush=True)
async def main():
    await Lab.up(LabSpec(name=sys.argv[1], hosts=0, xen_hosts=1, xen_guests_per_host=1), progress=say)
    await asyncio.sleep(600)
asyncio.run(main())
"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.xen,
    pytest.mark.full,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="the real lab needs root"),
]


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on the cache's file system that QEMU's own user may enter, unlike pytest's."""
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=CACHE_ROOT.parent))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def wait_for(maker: subprocess.Popen[str], part: str) -> None:
    assert maker.stdout is not None
    for line in maker.stdout:
        if part in line:
            return
    pytest.fail(f"the maker never said {part!r}")


def processes_below(folder: Path) -> list[bytes]:
    """Commands of living processes that name something in the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(folder) + b"/" in command:
            found.append(command)
    return found


@pytest.mark.parametrize(
    ("moment", "lacking"),
    [("Xen image", "xen-*"), ("Xen snapshot", "xen-snapshot-*"), ("hosts", ""), ("started", "")],
)
def test_a_maker_killed_at_any_point_leaves_no_process_and_no_half_cache(
    moment: str, lacking: str, elsewhere: Path
) -> None:
    name, cache = f"xkilled-{os.getpid()}", elsewhere / "cache"
    left_out = shutil.ignore_patterns(*([lacking] if lacking else []))
    shutil.copytree(CACHE_ROOT, cache, ignore=left_out, copy_function=os.link)
    there = {path.name for path in cache.iterdir()}
    environment = {**os.environ, "YAMORI_LAB_CACHE": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, name], stdout=subprocess.PIPE, text=True, env=environment
    ) as maker:
        wait_for(maker, moment)
        time.sleep(3 if lacking else 0)
        maker.send_signal(signal.SIGKILL)
    assert name in [entry.name for entry in find_leftovers()]
    if lacking:
        assert any(path.name.startswith(".") for path in cache.iterdir())
        assert processes_below(cache)
    layout = Layout(name=name, slot=slot.holders()[name])
    clear = [sys.executable, "-m", "yamori.lab", "down", name]
    subprocess.run(clear, check=True, env=environment, capture_output=True, timeout=120)
    assert traces(layout) == []
    assert processes_below(cache) == []
    assert {path.name for path in cache.iterdir()} - there <= {"packages.json", "kvm-probe.json"}
