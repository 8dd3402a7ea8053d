"""Checking and trying policies; schemas."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Type
from tests.web.serving import Served
from yamori.cli.policy import Format, schema_for

ROOT = Path(__file__).parents[2]


def test_check_tells_every_error_with_its_place(run: Type, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nrules:\n- {id: a, decison: allow}\n- {id: B, decision: maybe}\n")
    told = run("policy", "check", str(path))
    assert (told.code, told.out) == (2, "")
    assert [line.strip().removeprefix("error: ") for line in told.err.splitlines()] == [
        f"{path}:3:3: rules[0].decision: is missing",
        f"{path}:3:11: rules[0].decison: unknown key 'decison' (did you mean 'decision'?)",
        f"{path}:4:8: rules[1].id: must fit ^[a-z0-9][a-z0-9_-]{{0,59}}$, not 'B'",
        f"{path}:4:21: rules[1].decision: 'maybe' is not one of allow, ask, deny",
    ]


def test_check_reads_standard_input_and_warns(run: Type) -> None:
    from tests.cli.conftest import typed

    told = typed("policy", "check", "-", given="version: 1\nrules: [{id: a, decision: allow}]\n")
    assert told.code == 0
    assert "warning: standard input:2:1: rules: no rule enforces anything" in told.out
    assert typed("policy", "check", "-", "--strict", given="version: 1\n").code == 1


def test_check_live_asks_the_fleet_for_its_names(service: Served, run: Type, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    when = "{module: gard, vm: {host: rack-q, label: {tennant: shop}}}"
    path.write_text(f"version: 1\nrules: [{{id: a, decision: allow, mode: enforce, when: {when}}}]\n")
    warnings = run("policy", "check", str(path), "--live", "--json").json["warnings"]
    assert len(warnings) == 3
    assert "did you mean 'tenant'?" in "".join(warnings)
    assert run("policy", "check", str(path), "--json").json["warnings"] == []


@pytest.mark.parametrize("of", list(Format))
def test_the_published_schemas_are_what_the_command_prints(run: Type, of: Format) -> None:
    printed = run("policy", "schema", "--of", of.value).json
    assert printed == schema_for(of)
    published = ROOT / "docs" / "reference" / f"{of.value}.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == printed, "make docs"


def test_up_check_reads_the_files_and_starts_nothing(run: Type, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("endpoints:\n- {name: sim, driver: simulator}\n")
    told = run("up", "--config", str(fleet), "--check")
    assert (told.code, told.out) == (0, f"{fleet}: 1 endpoints, all right\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 2\n")
    assert run("up", "--config", str(fleet), "--policy", str(policy), "--check").code == 2
    fleet.write_text("endpoints:\n- {name: sim, driver: simulater}\n")
    told = run("up", "--config", str(fleet), "--check")
    assert told.code == 2
    assert f"{fleet}:2:23: " in told.err


def test_support_probes_a_configuration_without_a_service(run: Type, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("endpoints:\n- {name: sim, driver: simulator, world: tests-cli}\n")
    told = run("support", "--config", str(fleet), "--json")
    assert told.code == 0
    assert told.json["endpoints"]["sim"]["cells"]["inventory"]["level"] == "native"
