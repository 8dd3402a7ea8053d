"""Commands that only read."""

import asyncio
import json

import pytest

from tests.cli.conftest import Type
from tests.web import scene
from tests.web.serving import POLICY, Served
from yamori.control.facade import EventKind
from yamori.model.errors import Tampered
from yamori.model.support import FEATURES

HELD = "batch-7"


def test_status_tells_the_whole_in_a_few_lines(service: Served, run: Type) -> None:
    told = run("status")
    assert told.code == 0
    assert told.lines[0] == f"Yamori 1.2.3 at {service.url}"
    assert "no route to host" in told.out
    assert "open findings: 1" in told.out
    plain = run("status", "--json").json
    assert plain["vms"] == len(scene.ROWS) == sum(plain["standing"].values())
    assert plain["held"] == 1
    assert plain["drifted"] == 1
    assert [e["contact"] for e in plain["endpoints"]] == ["up", "up", "down"]


def test_fleet_lists_every_vm_and_says_unknown_where_it_is(service: Served, run: Type) -> None:
    told = run("fleet")
    assert told.lines[0].split() == [
        "NAME",
        "HOST",
        "STATE",
        "SLA",
        "CPU",
        "MEMORY",
        "SERVED",
        "HELD",
        "BY",
        "HAND",
    ]
    assert len(told.lines) == 1 + len(scene.ROWS)
    held = next(line for line in told.lines if line.startswith(HELD))
    assert "cpu 0.35 cores" in held
    git = next(line for line in told.lines if line.startswith("git"))
    assert "unknown" in git


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--held",), {HELD}),
        (("--host", "rack-b", "--standing", "unknown"), {"git"}),
        (("--search", "web-"), {"web-1", "web-2"}),
        (("--search", "nowhere"), set()),
    ],
)
def test_fleet_can_be_narrowed(service: Served, run: Type, options: tuple[str, ...], names: set[str]) -> None:
    found = {view["vm"]["name"] for view in run("fleet", *options, "--json").json}
    assert found == names or (names == {"git"} and "git" in found)
    assert run("fleet", "--search", "nowhere").out == "nothing\n"


def test_fleet_shows_one_vm_with_its_limits_and_objectives(service: Served, run: Type) -> None:
    told = run("fleet", HELD)
    assert told.code == 0
    assert "held: cpu 0.35 cores" in told.out
    assert "unknown: the host's kernel has no traffic control" in told.out
    assert run("fleet", HELD, "--json").json["limits"]["limits"]["values"]["cpu_cap"] == 0.35


@pytest.mark.parametrize("key", ["cpu", "delay", "memory", "disk", "latency", "net"])
def test_top_sorts_largest_first_and_unknown_last(service: Served, run: Type, key: str) -> None:
    rates = {
        "cpu": "cpu_cores",
        "delay": "cpu_delay",
        "memory": "memory_resident_bytes",
        "disk": "disk_bytes_s",
        "latency": "disk_latency_s",
        "net": "net_tx_bytes_s",
    }
    values = [view["rates"][rates[key]] for view in run("top", "--sort", key, "--json").json]
    known = [v for v in values if v is not None]
    assert values == known + [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=True)


def test_top_without_a_terminal_prints_one_table_and_ends(service: Served, run: Type) -> None:
    told = run("top", "--limit", "3", "--sort", "name")
    assert len(told.lines) == 4
    assert told.lines[0].startswith("NAME")


def test_findings_are_listed_and_shown_with_their_evidence(service: Served, run: Type) -> None:
    assert "finding-0003" in run("findings").out
    assert "finding-0003" not in run("findings", "--open").out
    told = run("findings", "finding-0004").out
    assert "ATT&CK: T1496" in told
    assert "examined: 5 of 6" in told
    assert "not examined: ci-runner: counters were reset 4 s ago" in told
    assert run("findings", "finding-0004", "--json").json["cause"] == scene.vm_id(3)


def test_runs_are_listed_by_vm_name_and_shown_with_their_journal(service: Served, run: Type) -> None:
    told = run("runs")
    assert HELD in told.out
    name = run("runs", "--json").json[0]["id"]
    shown = run("runs", name).out
    assert f"run {name}:" in shown
    assert "planned" in shown


def test_explain_numbers_the_reasons(service: Served, run: Type) -> None:
    name = run("runs", "--json").json[0]["id"]
    told = run("explain", name)
    assert told.lines[0].startswith(" 1. guard saw web-2 wait")
    assert run("explain", name, "--json").json["lines"]


def test_support_shows_level_and_reason_and_what_was_never_reached(service: Served, run: Type) -> None:
    told = run("support")
    net = next(line.split() for line in told.lines if line.startswith("limits.net_in"))
    assert net == ["limits.net_in", "native", "none", "unknown"]
    assert "rack-b: limits.net_in, limits.net_out: the host's kernel has no traffic control" in told.out
    assert "rack-c: never reached: all unknown" in told.out
    assert run("support", "--json").json["features"] == list(FEATURES)


def test_policy_show_prints_the_text_in_force_or_the_built_in_one(service: Served, run: Type) -> None:
    assert run("policy", "show").out == POLICY
    assert run("policy", "show", "--json").json == {"text": POLICY}
    assert "observe-everything" in run("policy", "show", "--default").out


def test_the_ledger_is_verified_shown_and_exported(service: Served, run: Type) -> None:
    assert run("ledger", "verify").out == "the chain holds: 48 records\n"
    assert run("ledger", "verify", "--json").json == {"records": 48, "holds": True}
    assert len(run("ledger", "show", "--limit", "5").lines) == 6
    assert [json.loads(line)["number"] for line in run("ledger", "export").lines] == list(range(1, 49))
    assert len(run("ledger", "export", "--after", "40", "--limit", "3").lines) == 3


def test_a_changed_ledger_ends_with_code_5(service: Served, run: Type) -> None:
    service.facade.raises["verify_ledger"] = Tampered("record 7 was changed", subject="ledger")
    told = run("ledger", "verify")
    assert (told.code, told.out) == (5, "")
    assert "record 7 was changed" in told.err


def test_watch_tells_events_as_they_come(service: Served, run: Type) -> None:
    async def soon() -> None:
        while service.facade.listeners == 0:  # noqa: ASYNC110  the stand-in only counts
            await asyncio.sleep(0.02)
        await service.facade.tell(EventKind.TICK, "fleet")
        await service.facade.tell(EventKind.DRIFT, "vm-1\x1b[2J", {"changes": ["cpu\x1b"]})
        await service.facade.tell(EventKind.RUN, "vm-2", {"state": "verified"})

    waiting = asyncio.run_coroutine_threadsafe(soon(), service.loop)
    told = run("watch", "--count", "2")
    waiting.result(30)
    assert told.code == 0
    assert ["drift" in told.lines[0], "run" in told.lines[1]] == [True, True]
    assert "\x1b" not in told.out
