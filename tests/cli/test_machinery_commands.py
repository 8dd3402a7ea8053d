"""demo, bench and lab: what they hand on and how they end. The works themselves have tests of their own."""

import asyncio
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Type
from yamori.bench.result import Bench, LabWish
from yamori.demo import play as play_module
from yamori.demo.play import Audience, DemoOptions
from yamori.demo.report import Report
from yamori.lab import lab as lab_module
from yamori.lab import leftovers
from yamori.lab.clearing import Cleared
from yamori.lab.leftovers import LabStatus
from yamori.lab.spec import Accelerator, LabSpec
from yamori.model.errors import Unsupported


def report(**changes: Any) -> Report:
    return Report(**{"stage": "a stage", "vms": 2, "hosts": 1, "acts": (), "ledger_records": 3, **changes})


def playing(monkeypatch: pytest.MonkeyPatch, ends: Report | Exception) -> list[DemoOptions]:
    asked: list[DemoOptions] = []

    async def play(options: DemoOptions, audience: Audience, *, stop: asyncio.Event) -> Report:
        asked.append(options)
        assert not stop.is_set()
        audience.progress("building\x1b", 0.5)
        audience.tell("a line\x1b")
        audience.ready(types.SimpleNamespace(url="http://127.0.0.1:1", state_dir="/s"))  # type: ignore[arg-type]
        if isinstance(ends, Exception):
            raise ends
        return ends

    monkeypatch.setattr(play_module, "play", play)
    return asked


def test_demo_hands_on_its_options_and_tells_the_story(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = playing(monkeypatch, report())
    told = run("demo", "--simulated", "--once", "--speed", "50", "--seed", "7", "--kind", "cpu", "--kind", "disk")
    assert told.code == 0
    assert (asked[0].on, asked[0].once, asked[0].speed, asked[0].seed) == ("simulator", True, 50.0, 7)
    assert asked[0].kinds == ("cpu", "disk")
    assert told.out == "a line\\x1b\n"
    assert "\x1b" not in told.err


def test_demo_as_json_prints_the_report_alone(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = playing(monkeypatch, report())
    told = run("demo", "--simulated", "--json")
    assert told.json["verified"] is True
    assert asked[0].once is True


@pytest.mark.parametrize("changes", [{"failures": ("cpu: never held",)}, {"left_behind": ("a mount",)}])
def test_a_demo_of_which_anything_was_not_verified_ends_with_code_1(
    run: Type, monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, Any]
) -> None:
    playing(monkeypatch, report(**changes))
    told = run("demo", "--simulated", "--once")
    assert told.code == 1
    assert "not verified: " in told.err


def test_a_demo_whose_stage_cannot_be_built_says_why(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    playing(monkeypatch, Unsupported("lab", "no libvirtd here"))
    told = run("demo", "--once")
    assert (told.code, "no libvirtd here" in told.err) == (3, True)


def benches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def measure(what: Any, progress: Any) -> Any:
        asked.append(what)
        progress("measuring")
        return types.SimpleNamespace(
            title="t", rows=[["what", "s"], ["a", "1"]], json={"a": 1}, notes=["on 2 cores"]
        )

    made = Bench(
        name="detect",
        summary="cost of a tick",
        run=measure,
        labs={"xen": lambda wish, progress: measure(wish, progress)},
    )
    monkeypatch.setattr("yamori.bench.BENCHES", {"detect": made})
    return asked


def test_bench_lists_and_measures(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = benches(monkeypatch)
    assert run("bench").out == "detect        cost of a tick\n"
    assert run("bench", "--json").json == {"detect": "cost of a tick"}
    told = run("bench", "detect", "--scale", "0.1")
    assert told.lines == ["t", "what  s", "a     1", "on 2 cores"]
    assert told.err == "measuring\n"
    assert run("bench", "detect", "--json").json == {"a": 1}
    assert asked == [0.1, 1.0]
    told = run("bench", "detekt")
    assert told.code == 2
    assert "did you mean 'detect'?" in told.err


def test_bench_measures_real_hosts_as_asked_and_says_what_it_has_no_use_for(
    run: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = benches(monkeypatch)
    assert run("bench", "detect", "--driver", "xen", "--guests", "3", "--scale", "0.5").code == 0
    assert run("bench", "detect", "--driver", "xen", "--lab", "mine").code == 0
    assert asked == [LabWish(guests=3, scale=0.5), LabWish(lab="mine")]
    told = run("bench", "detect", "--lab", "mine")
    assert told.code == 2
    assert "--driver xen" in told.err
    told = run("bench", "detect", "--driver", "xin\x1b[2J")
    assert told.code == 2
    assert "there are: xen" in told.err
    assert "\x1b" not in told.err


class Labs:
    """A stand-in for the labs of this machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[LabSpec] = []
        self.cleared: list[str] = []
        self.found = [self.entry("lab", processes=4), self.entry("old", orphaned=True)]

        async def up(_: Any, spec: LabSpec, *, progress: Any) -> Any:
            self.made.append(spec)
            progress("host-a\x1b")
            return types.SimpleNamespace(hosts={"a": 1}, guests={"g": 1}, fleet_config=lambda: {"endpoints": []})

        async def clear_lab(name: str) -> Cleared:
            self.cleared.append(name)
            return Cleared(processes=4, namespaces=["n"])

        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr(lab_module.Lab, "up", classmethod(up))
        monkeypatch.setattr(lab_module, "clear_lab", clear_lab)
        monkeypatch.setattr(leftovers, "status", lambda: self.found)
        monkeypatch.setattr(leftovers, "find_leftovers", lambda: [e for e in self.found if e.orphaned])

    @staticmethod
    def entry(name: str, *, processes: int = 0, orphaned: bool = False) -> LabStatus:
        return LabStatus(
            name=name,
            slot=1,
            state="up",
            detached=not orphaned,
            owner_pid=None,
            owner_alive=False,
            orphaned=orphaned,
            processes_alive=processes,
        )


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch) -> Labs:
    return Labs(monkeypatch)


def test_lab_up_makes_what_was_asked_and_writes_its_configuration(run: Type, labs: Labs, tmp_path: Path) -> None:
    told = run(
        "lab", "up", "big", "--hosts", "3", "--guests", "2", "--accelerator", "tcg", "--config", f"{tmp_path}/f"
    )
    assert told.code == 0
    spec = labs.made[0]
    assert (spec.name, spec.hosts, spec.guests_per_host, spec.accelerator) == ("big", 3, 2, Accelerator.TCG)
    assert spec.detached is True
    assert (tmp_path / "f").read_text() == '{\n  "endpoints": []\n}\n'
    assert "\x1b" not in told.err
    assert run("lab", "up", "--json").json == {"endpoints": []}


def test_lab_down_asks_before_it_ends_guests_and_can_be_tried(run: Type, labs: Labs) -> None:
    told = run("lab", "down")
    assert (told.code, "add --yes" in told.err) == (2, True)
    assert run("lab", "down", "--dry-run").out == "would clear: lab\n"
    assert labs.cleared == []
    assert run("lab", "down", "--yes").out == "lab: removed 4 processes, 1 namespaces\n"
    assert run("lab", "down", "--leftovers", "--json").json["old"]["processes"] == 4
    assert labs.cleared == ["lab", "old"]


def test_lab_status_lists_labs_and_says_which_nobody_will_clear(run: Type, labs: Labs) -> None:
    assert [line.split()[-1] for line in run("lab", "status").lines] == ["OVER", "no", "yes"]
    assert len(run("lab", "status", "--json").json) == 2


def test_a_lab_needs_root(run: Type, labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for words in (("lab", "up"), ("lab", "down", "--yes")):
        told = run(*words)
        assert (told.code, "use sudo" in told.err) == (3, True)
    assert labs.made == []
