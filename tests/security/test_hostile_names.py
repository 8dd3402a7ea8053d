"""Names come from others. They are shown as text everywhere, and forge neither a line, a series nor a page."""

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.architecture.tree import PACKAGE, shown
from yamori.capabilities.sensing import usage
from yamori.control.facade import Served, Standing, VMView
from yamori.drivers.libvirt.words import clean
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.sla import Objective
from yamori.model.vm import VM, PowerState
from yamori.web.metrics import LONGEST_LABEL, Scrape
from yamori.web.standing import standing_of

NAMES = [
    'web"} 1\nyamori_endpoint_up{endpoint="forged"} 1\nx{y="',
    "\x1b[2J\x1b[31mred",
    "<img src=x onerror=alert(1)>",
    "a\\",
    "a\r\nSet-Cookie: b=c",
    "\u202egnp.exe",
    "\udcff",
    "x" * 100_000,
    "",
    "[red]markup[/red]",
    "'; DROP TABLE runs; --",
]


def view(name: str, served: tuple[Served, ...] = ()) -> VMView:
    vm = VM(
        id=VMId("00000000-0000-4000-8000-000000000001"),
        name=name,
        host=HostId("h"),
        state=PowerState.RUNNING,
        vcpus=1,
        memory_bytes=1,
        memory_max_bytes=1,
    )
    return VMView(
        vm=vm,
        endpoint=EndpointName("e"),
        rates={"cpu_cores": 0.5, "disk_latency_s": None},
        served=served,
        hold=None,
        drift=(),
        seen_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def samples(*views: VMView) -> list[tuple[str, dict[str, str], float]]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scrape(endpoints=(), vms=views, findings=(), runs=(), wrong_tokens=0))
    text = generate_latest(registry).decode()
    return [(s.name, s.labels, s.value) for family in text_string_to_metric_families(text) for s in family.samples]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_forges_no_series(name: str) -> None:
    honest = [(n, v) for n, _, v in samples(view("plain"))]
    found = samples(view(name))
    assert [(n, v) for n, _, v in found] == honest
    labels = next(labels for n, labels, _ in found if n == "yamori_vm_cpu_cores")
    assert len(labels["name"]) <= LONGEST_LABEL


def test_what_is_not_known_has_no_sample_and_is_never_zero() -> None:
    names = {n for n, _, _ in samples(view("plain"))}
    assert "yamori_vm_cpu_cores" in names
    assert "yamori_vm_disk_latency_seconds" not in names


def test_an_objective_that_is_not_known_is_never_shown_as_kept() -> None:
    kept = Served(objective=Objective.CPU_DELAY, value=0.0, bound=0.1, standing=Standing.KEPT)
    unknown = Served(objective=Objective.DISK_LATENCY, value=None, bound=0.1, standing=Standing.UNKNOWN)
    both = view("plain", (kept, unknown))
    assert standing_of(both) is Standing.UNKNOWN
    told = [labels["objective"] for n, labels, _ in samples(both) if n == "yamori_vm_objective_broken"]
    assert told == ["cpu_delay"]


@pytest.mark.parametrize("name", NAMES)
def test_a_hypervisors_text_becomes_one_bounded_line_without_controls(name: str) -> None:
    shown_name = clean(name, 255)
    assert len(shown_name) <= 255
    assert shown_name.isprintable()


def test_the_console_puts_text_into_pages_only_as_text() -> None:
    dangerous = re.compile(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment)\b"
        r"|\beval\(|new Function\(|javascript:|\bon(click|error|load)="
    )
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in sorted(Path(PACKAGE / "web" / "console").rglob("*"))
        if path.suffix in {".js", ".mjs", ".html", ".svg"} and ".min." not in path.name
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if dangerous.search(line)
    ]
    assert not found


def test_a_frame_of_counters_says_that_guests_own_words_are_untrusted() -> None:
    """The two columns that the guest itself fills in are marked, so that no judgement rests on them alone."""
    marked = re.findall(r"(\w+) = \d+\n    \"\"\"[^\"]*\(untrusted\)", inspect.getsource(usage))
    assert marked == ["MEMORY_USABLE", "MEMORY_FAULTS"]
