"""A lab is cleared by its record: after a crash of its maker at any point, from another process, twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.traces import traces
from yamori.lab import clearing, slot
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.layout import Layout
from yamori.lab.leftovers import find_leftovers, status
from yamori.lab.registry import Kind, Registry
from yamori.lab.spec import LabSpec
from yamori.model.errors import Conflict, Interrupted

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the real lab needs root"),
]

MAKER = """
import asyncio, sys, time
from yamori.lab.lab import Lab
from yamori.lab.spec import LabSpec
def say(text):
    print(text, flush=True)
async def main():
    await Lab.up(LabSpec(name=sys.argv[1], hosts=1, guests_per_host=1, guest_memory_mib=128), progress=say)
    say("up")
    await asyncio.sleep(600)
asyncio.run(main())
"""


def start_maker(name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAKER, name], stdout=subprocess.PIPE, text=True)


def wait_for_line(maker: subprocess.Popen[str], part: str) -> None:
    assert maker.stdout is not None
    for line in maker.stdout:
        if part in line:
            return
    pytest.fail(f"the maker never said {part!r}")


@pytest.mark.parametrize("moment", ["guest image", "hosts", "answers", "started", "serves", "up"])
async def test_a_lab_whose_maker_was_killed_is_found_and_cleared_completely_and_twice(moment: str) -> None:
    name = f"killed-{os.getpid()}"
    with start_maker(name) as maker:
        await asyncio.to_thread(wait_for_line, maker, moment)
        maker.send_signal(signal.SIGKILL)
    layout = Layout(name=name, slot=slot.holders()[name])
    assert [entry.name for entry in find_leftovers() if entry.name == name] == [name]
    cleared = await clear_lab(name)
    assert cleared.anything
    assert traces(layout) == []
    assert not (await clear_lab(name)).anything
    assert name not in [entry.name for entry in status()]


async def test_a_lab_is_cleared_although_its_registry_was_torn_at_the_last_line() -> None:
    name = f"torn-{os.getpid()}"
    with start_maker(name) as maker:
        await asyncio.to_thread(wait_for_line, maker, "answers")
        maker.send_signal(signal.SIGKILL)
    layout = Layout(name=name, slot=slot.holders()[name])
    with layout.registry.open("ab") as file:
        file.write(b'{"kind": "link", "id": "yl')
    await clear_lab(name)
    assert traces(layout) == []


async def test_clearing_a_lab_that_never_was_clears_nothing() -> None:
    assert not (await clear_lab("never-was")).anything


async def test_a_lab_that_is_being_made_is_not_cleared_under_its_maker_and_is_no_leftover() -> None:
    name = f"making-{os.getpid()}"
    with start_maker(name) as maker:
        await asyncio.to_thread(wait_for_line, maker, "hosts")
        with pytest.raises(Conflict):
            await clear_lab(name, patience_seconds=0.3)
        assert name not in [entry.name for entry in find_leftovers()]
        maker.send_signal(signal.SIGKILL)
    await clear_lab(name)


async def test_a_running_lab_of_another_process_can_be_taken_down() -> None:
    name = f"other-{os.getpid()}"
    with start_maker(name) as maker:
        await asyncio.to_thread(wait_for_line, maker, "up")
        lab = Lab.open(name)
        assert (await lab.down()).processes >= 1
        assert traces(lab.layout) == []
        maker.kill()


async def test_a_cancelled_making_leaves_nothing() -> None:
    name = f"cancel-{os.getpid()}"
    said: list[str] = []
    task = asyncio.create_task(Lab.up(LabSpec(name=name, hosts=1, guests_per_host=1), progress=said.append))
    deadline = time.monotonic() + 60
    while not any("answers" in line for line in said):
        assert time.monotonic() < deadline
        assert not task.done()
        await asyncio.sleep(0.05)
    layout = Layout(name=name, slot=slot.holders()[name])
    task.cancel()
    with pytest.raises((asyncio.CancelledError, Interrupted)):
        await task
    assert traces(layout) == []


async def test_two_labs_live_side_by_side_and_one_survives_the_others_end() -> None:
    names = [f"twin{number}-{os.getpid()}" for number in (1, 2)]
    labs = await asyncio.gather(
        *(Lab.up(LabSpec(name=name, hosts=1, guests_per_host=1, guest_memory_mib=128)) for name in names)
    )
    try:
        assert labs[0].layout.slot != labs[1].layout.slot
        await labs[0].down()
        assert traces(labs[0].layout) == []
        assert clearing.remains(labs[1].registry) != []
        assert await labs[1].attack_of("vm-a1") is None
    finally:
        for name in names:
            await clear_lab(name)
    assert traces(labs[1].layout) == []


def test_a_process_of_an_earlier_boot_is_never_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "STATE_ROOT", tmp_path)
    monkeypatch.setattr(slot, "STATE_ROOT", tmp_path)
    with subprocess.Popen(["sleep", "600"]) as innocent:
        registry = Registry(tmp_path / "old" / "registry.jsonl")
        registry.create()
        registry.append(Kind.LAB, "old", slot=250, spec={}, owner="1:1", boot="another boot")
        ticks = Path(f"/proc/{innocent.pid}/stat").read_text().rpartition(")")[2].split()[19]
        registry.append(Kind.PROCESS, f"{innocent.pid}:{ticks}", role="host host-a")
        assert clearing.clear("old").processes == 0
        assert innocent.poll() is None
        innocent.kill()
    assert not (tmp_path / "old").exists()
