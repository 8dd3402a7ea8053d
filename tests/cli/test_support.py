"""`yamori support` on a mixed fleet: rows and hosts picked, reasons said once, nothing cut off."""

import json
import re
import shutil
import sys
from os import terminal_size
from typing import Any

import pytest

from tests.cli.conftest import Type
from tests.web.serving import Served
from yamori.cli import support
from yamori.model.ids import HostId
from yamori.model.plain import to_plain
from yamori.model.support import FEATURES, Cell, HostSupport, Level, Support

WHY = "the hypervisor has no such function"


def told(hypervisor: str, **cells: Cell) -> Any:
    whole = {row: Cell(level=Level.NATIVE) for row in FEATURES} | cells
    return to_plain(Support(driver="d", hypervisor=hypervisor, cells=whole))


@pytest.fixture
def fleet(service: Served, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Ten endpoints, three kinds of hypervisor, one of them never reached."""
    agent = {"usage": Cell(level=Level.AGENT), "limits.net_in": Cell(level=Level.NONE, reason=WHY)}
    endpoints: dict[str, Any] = {f"kvm-{n}": told("QEMU 7.2.22") for n in range(5)}
    endpoints |= {f"xen-{n}": told("Xen 4.17.7", **agent) for n in range(3)}
    endpoints["vcenter"] = told(
        "A center that is called at length 8.0.2", power=Cell(level=Level.UNKNOWN, reason="?")
    )
    endpoints["away"] = None
    monkeypatch.setattr("yamori.web.client.Client.support", lambda _self: {"endpoints": endpoints})
    return endpoints


def test_a_reason_is_said_once_with_all_whom_it_concerns(fleet: dict[str, Any], run: Type) -> None:
    out = run("support").out
    assert out.count(WHY) == 1
    assert f"xen-0, xen-1, xen-2: limits.net_in: {WHY}" in out
    assert "away: never reached: all unknown" in out
    assert WHY not in run("support", "--no-reasons").out


def test_rows_and_endpoints_can_be_picked(fleet: dict[str, Any], run: Type) -> None:
    lines = run(
        "support", "--host", "xen-*", "--host", "away", "--feature", "limits", "--feature", "usage.n*"
    ).lines
    assert lines[0].split() == ["FEATURE", "xen-0", "xen-1", "xen-2", "away"]
    rows = [line.split()[0] for line in lines[2:] if line and ":" not in line]
    assert rows == ["usage.net_drops", *(row for row in FEATURES if row.startswith("limits."))]


def test_one_endpoint_is_shown_with_the_reason_beside_each_row(fleet: dict[str, Any], run: Type) -> None:
    lines = run("support", "--host", "xen-1").lines
    assert lines[0] == "xen-1: d on Xen 4.17.7"
    assert ["usage", "agent"] in [line.split() for line in lines]
    assert next(line for line in lines if line.startswith("limits.net_in")).endswith(WHY)
    assert run("support", "--host", "away").lines == ["away: never reached: all unknown"]


def test_a_host_of_an_endpoint_means_its_endpoint(fleet: dict[str, Any], run: Type) -> None:
    assert run("support", "--host", "vcenter/esx-7.example").lines[0].startswith("vcenter: d on A center")


def test_json_keeps_its_shape_and_has_what_was_picked(fleet: dict[str, Any], run: Type) -> None:
    assert set(run("support", "--json").json["endpoints"]) == set(fleet)
    found = run("support", "--json", "--host", "xen-0", "--host", "away", "--feature", "power").json
    assert found["features"] == ["power"]
    assert found["errors"] == {}
    assert found["endpoints"]["away"] is None
    assert found["endpoints"]["xen-0"]["cells"] == {"power": {"level": "native", "reason": ""}}
    assert found["endpoints"]["xen-0"]["hypervisor"] == "Xen 4.17.7"


def test_a_word_that_means_nothing_is_refused(fleet: dict[str, Any], run: Type) -> None:
    wrong = run("support", "--feature", "limit")
    assert wrong.code == 2
    assert "Did you mean 'limits'?" in wrong.err
    nobody = run("support", "--host", "xen-9\x1b[2J")
    assert nobody.code != 0
    assert "no endpoint is called xen-9" in nobody.err
    assert "\x1b" not in nobody.err


def test_what_could_not_be_asked_yet_is_said(fleet: dict[str, Any], run: Type) -> None:
    fleet["xen-0"]["provisional"] = True
    assert "xen-0: a part of it could not be asked yet" in run("support").out
    assert run("support", "--host", "xen-0").lines[0].endswith("; a part of it could not be asked yet")


@pytest.mark.parametrize("columns", [60, 80, 120, 400])
def test_a_terminal_gets_as_many_endpoints_beside_one_another_as_fit(
    fleet: dict[str, Any], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((columns, 24)))
    blocks = list(support._blocks(list(fleet), 24))
    assert [name for block in blocks for name in block] == list(fleet)
    for block in blocks:
        assert 24 + sum(support.GAP + max(len(name), 20) for name in block) <= columns or len(block) == 1
    assert (len(blocks) == 1) is (columns == 400)


def test_a_hostile_name_stays_text(fleet: dict[str, Any], run: Type) -> None:
    fleet["kvm-0"]["hypervisor"] = "Q\x1b[2J\nfine"
    out = run("support").out
    assert "\x1b" not in out
    assert not re.search(r"^fine", out, re.M)


NOT_HERE = "the host is in a cluster that takes no pinning"
PLAIN = "the host does not encrypt moves"


@pytest.fixture
def center(fleet: dict[str, Any]) -> dict[str, Any]:
    """A vCenter of eight hosts, seven of a cluster and two of them of an older version."""
    moves = [row for row in FEATURES if row.startswith("migration.")]

    def host(number: int) -> HostSupport:
        old, inside = number < 2, number < 7
        cells = {"limits.cpu_pinning": Cell(level=Level.NONE, reason=NOT_HERE)} if inside else {}
        cells |= dict.fromkeys(moves, Cell(level=Level.UNKNOWN, reason=PLAIN)) if old else {}
        return HostSupport(hypervisor="ESXi 6.0.0" if old else "ESXi 8.0.2", cells=cells)

    whole = {row: Cell(level=Level.NATIVE) for row in FEATURES}
    hosts = {HostId(f"center/esx-{n}"): host(n) for n in range(8)}
    told = to_plain(Support(driver="vsphere", hypervisor="vCenter 8", cells=whole, hosts=hosts))
    fleet["center"] = from_json(told)
    return fleet


def from_json(told: Any) -> Any:
    return json.loads(json.dumps(told))


def test_an_endpoint_of_several_hosts_says_on_how_many_a_row_holds_and_why_not_on_the_others(
    center: dict[str, Any], run: Type
) -> None:
    lines = run("support", "--host", "center").lines
    assert lines[1] == "hosts: 2 x ESXi 6.0.0, 6 x ESXi 8.0.2"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[0] in FEATURES}
    assert rows["limits.cpu_pinning"] == ["native", "1/8"]
    assert rows["migration.live"] == ["native", "6/8"]
    assert rows["usage"] == ["native"]
    named = ", ".join(f"center/esx-{n}" for n in range(6))
    assert f"{named} and 1 more: limits.cpu_pinning: none: {NOT_HERE}" in lines
    (plain,) = (line for line in lines if PLAIN in line)
    assert plain.startswith("center/esx-0, center/esx-1: migration.live, migration.encrypted, ")
    assert f": unknown: {PLAIN}" in plain
    assert NOT_HERE not in run("support", "--host", "center", "--no-reasons").out


def test_beside_other_endpoints_hosts_that_differ_are_told_too(center: dict[str, Any], run: Type) -> None:
    told = run("support", "--feature", "limits.cpu_pinning", "--host", "center", "--host", "kvm-0")
    assert told.lines[2].split() == ["limits.cpu_pinning", "native", "native", "1/8"]
    assert f"limits.cpu_pinning: none: {NOT_HERE}" in told.out
    assert PLAIN not in told.out


def test_one_host_of_several_is_shown_as_it_is(center: dict[str, Any], run: Type) -> None:
    lines = run("support", "--host", "center/esx-0").lines
    assert lines[0] == "center/esx-0: vsphere on ESXi 6.0.0"
    rows = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert (rows["limits.cpu_pinning"], rows["migration.live"], rows["usage"]) == ("none", "unknown", "native")
    lines = run("support", "--host", "center/*", "--feature", "migration.live", "--no-reasons").lines
    assert lines[0].split() == ["FEATURE", *(f"center/esx-{n}" for n in range(8))]
    assert lines[2].split() == ["migration.live", "unknown", "unknown", *["native"] * 6]


def test_a_host_that_is_not_there_is_refused_where_hosts_are_known(center: dict[str, Any], run: Type) -> None:
    wrong = run("support", "--host", "center/esx-9")
    assert wrong.code != 0
    assert "center/esx-7" in wrong.err


def test_json_has_hosts_with_the_rows_that_were_picked(center: dict[str, Any], run: Type) -> None:
    found = run("support", "--json", "--host", "center", "--feature", "limits.cpu_pinning").json["endpoints"]
    assert set(found["center"]["hosts"]) == {f"center/esx-{n}" for n in range(8)}
    assert found["center"]["hosts"]["center/esx-0"]["cells"] == {
        "limits.cpu_pinning": {"level": "none", "reason": NOT_HERE}
    }
    assert found["center"]["hosts"]["center/esx-7"] == {"hypervisor": "ESXi 8.0.2", "cells": {}}
    one = run("support", "--json", "--host", "center/esx-0", "--feature", "limits.cpu_pinning").json["endpoints"]
    assert one["center/esx-0"]["cells"]["limits.cpu_pinning"]["level"] == "none"
