"""Checking, tracing and carrying over firewalls, on files alone."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import typed
from yamori.cli.firewall import Format
from yamori.modules.firewall.reading import read_groups
from yamori.modules.firewall.schema import groups_schema

ROOT = Path(__file__).parents[2]
GROUPS = """version: 1
groups:
  web: {select: {label: {tier: web}}, mode: enforce}
  db: {select: {label: {tier: db}}}
  default: {}
rules:
  - {id: visitors, from: any, to: web, services: https}
  - {id: store, from: web, to: db, services: postgresql}
"""
FLEET = """version: 1
vms:
  - {name: web1, labels: {tier: web, vmid: "101"}, cards: [{mac: "52:54:00:00:00:01", addresses: 10.0.0.1}]}
  - {name: db1, labels: {tier: db, vmid: "102"}, cards: [{mac: "52:54:00:00:00:02", addresses: 10.0.0.2}]}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "groups.yaml").write_text(GROUPS)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    return str(tmp_path / "groups.yaml"), str(tmp_path / "fleet.yaml")


def test_check_counts_and_tells_every_error_with_its_place(files: tuple[str, str], tmp_path: Path) -> None:
    told = typed("firewall", "check", files[0], "--fleet", files[1], "--json")
    assert (told.code, told.json["rules"], told.json["cards"], told.json["warnings"]) == (0, 2, 2, [])
    bad = tmp_path / "bad.yaml"
    bad.write_text(GROUPS.replace("to: db", "to: bd"))
    told = typed("firewall", "check", str(bad))
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"error: {bad}:8:32: rules[1].to[0]: no group or network is called 'bd'")
    assert typed("firewall", "check", "-", "--strict", given="version: 1\n").code == 1


def test_a_document_of_a_hundred_thousand_rules_gets_an_answer_at_once() -> None:
    rules = "".join(f"  - {{id: r{n}, from: any, to: web, services: tcp/{n % 60000}}}\n" for n in range(100_000))
    told = typed("firewall", "check", "-", given=GROUPS.partition("rules:")[0] + "rules:\n" + rules)
    assert told.code == 2
    assert "standard input:1:1: " in told.err


def test_trace_says_which_rule_decides_at_both_ends(files: tuple[str, str]) -> None:
    told = typed("firewall", "trace", files[0], "web1", "10.0.0.2", "tcp/5432", "--fleet", files[1])
    assert told.code == 0
    place = f"rule store ({files[0]}:8:5): postgresql from web to db"
    assert told.lines == [f"out web1: allowed: {place}", f"in  db1: allowed: {place}"]
    told = typed("firewall", "trace", files[0], "db1", "10.0.0.9", "tcp/22", "--in", "--fleet", files[1], "--json")
    assert (told.code, told.json["allowed"], told.json["passes"]) == (1, False, True), "db only observes"
    for words in (("web1", "nowhere", "tcp/1"), ("web1", "10.0.0.2", "tcp"), ("nobody", "10.0.0.2", "tcp/1")):
        assert typed("firewall", "trace", files[0], *words, "--fleet", files[1]).code == 2


@pytest.mark.parametrize("other", list(Format))
def test_what_is_exported_can_be_imported(files: tuple[str, str], tmp_path: Path, other: Format) -> None:
    out = tmp_path / "there"
    told = typed("firewall", "export", "--to", other.value, files[0], "--fleet", files[1], "-o", str(out))
    assert told.code == 0
    assert "group db: mode observe" in told.err or other is Format.PROXMOX, (
        "it is told that there is no such thing"
    )
    made = sorted(out.iterdir()) if out.is_dir() else [out]
    told = typed("firewall", "import", "--from", other.value, *map(str, made))
    assert told.code == 0
    groups = read_groups(told.out, "again")
    assert "tcp/5432" in {word for rule in groups.firewall.rules for word in rule.services}
    assert "to do by hand: " in told.err or other is Format.KUBERNETES
    told = typed("firewall", "import", "--from", other.value, *map(str, made), "--json")
    assert read_groups(told.json["files"]["groups.yaml"], "again").firewall == groups.firewall


def test_formats_that_know_vms_by_address_ask_for_a_fleet(files: tuple[str, str]) -> None:
    told = typed("firewall", "export", "--to", "proxmox", files[0])
    assert (told.code, told.out) == (2, "")
    assert "give --fleet" in told.err


def test_the_published_schema_is_what_the_command_prints() -> None:
    printed = typed("firewall", "schema").json
    assert printed == json.loads(json.dumps(groups_schema()))
    published = ROOT / "docs" / "reference" / "firewall.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == printed, "make docs"
