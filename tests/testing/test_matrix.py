"""From runs of the kit to the page: what is proven is shown with its date, what failed is shown as failed."""

from pathlib import Path
from typing import Any

import pytest

from tests.testing.runs import CLAIMS, claims, column, document, outcome, write_run
from yamori.model.support import FEATURES
from yamori.testing.matrix.__main__ import main
from yamori.testing.matrix.comparison import told
from yamori.testing.matrix.page import render
from yamori.testing.matrix.record import everything, homes, merged, read, write
from yamori.testing.matrix.run import Run, columns
from yamori.testing.matrix.standing import ColumnName, Standing

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
EFFECT = outcome("passed", "effect", power="effect")
API = outcome("passed", "api", power="api")


def power(**changes: Any) -> str:
    return told(column(**changes).cells["power"])


def test_a_claim_without_a_test_is_not_shown_as_proven() -> None:
    assert power() == "native · unproven"


def test_a_skipped_test_proves_nothing() -> None:
    assert power(tests=[outcome("skipped", power="effect")]) == "native · unproven"


def test_effect_proven_is_told_apart_from_api_proven() -> None:
    assert power(tests=[API]) == "native · API"
    assert power(tests=[API, EFFECT]) == "native · effect"
    assert power(tests=[EFFECT], cells=claims(power=("agent", ""))) == "agent · effect"


def test_one_failure_outweighs_all_that_passed_and_a_word_speaks_for_its_rows() -> None:
    tests = [outcome("passed", "fine", limits__cpu_cap="effect"), outcome("failed", "broken", limits="api")]
    cells = column(tests=tests).cells
    assert cells["limits.cpu_cap"].standing is Standing.FAILS
    assert cells["limits.cpu_cap"].failed == ("broken",)
    assert cells["power"].standing is Standing.UNPROVEN
    assert "| limits.cpu_cap | **FAILS** (1 of 2) |" in render([column(tests=tests)])


def test_what_was_not_probed_is_not_shown_as_absent() -> None:
    assert power(cells={}) == "not probed"
    assert "| power | not probed |" in render([column(cells={})])


def test_what_two_runs_of_one_moment_say_counts_together() -> None:
    failed = document(tests=[outcome("failed", power="api")])
    passed = document(tests=[EFFECT], cells=claims(changes=("none", "not here")))
    for order in ([failed, passed], [passed, failed]):
        (found,) = columns([Run.model_validate(each) for each in order]).values()
        assert found.cells["power"].standing is Standing.FAILS, "no failure is outdone by the other run"
        assert found.cells["changes"].standing is Standing.NONE, "what promises less counts"
        assert (found.newest.passed, found.newest.failed) == (1, 1)


@pytest.mark.parametrize(
    ("hypervisor", "variant", "name", "version"),
    [
        ("QEMU 7.2.22", "", "d: QEMU", "7.2.22"),
        ("QEMU 7.2.22", "session mode", "d: QEMU (session mode)", "7.2.22"),
        ("QEMU 7.2.22 session mode", None, "d: QEMU (session mode)", "7.2.22"),
        ("A Center Server 8.0.2 build-7", "", "d: A Center Server", "8.0.2 build-7"),
        ("3com", "", "d: 3com", ""),
        ("D 1", "", "D", "1"),
    ],
)
def test_a_column_keeps_its_name_when_the_hypervisors_version_changes(
    hypervisor: str, variant: str | None, name: str, version: str
) -> None:
    found = column(hypervisor=hypervisor, variant=variant)
    assert (str(found.name), found.newest.stamp.version) == (name, version)


def test_a_run_in_part_keeps_the_older_proofs_with_their_date_version_and_kit() -> None:
    whole = column(date="2026-01-02", tests=[EFFECT, outcome("passed", changes="api")])
    part = column(date="2026-02-03", hypervisor="h 2.0", tests=[API], whole=False)
    both = merged(whole, part)
    assert both.cells["power"].standing is Standing.EFFECT
    assert both.cells["power"].stamp == whole.newest.stamp
    assert both.newest.stamp.version == "2.0"
    assert both.last_good == whole.newest
    page = render([both])
    assert "| power | native · effect (2026-01-02) |" in page
    assert "| power | native | effect | 1 | 2026-01-02 | 1.0 | 0.1.0 | abc |  |" in page
    assert "| 2026-02-03, in part, stage unit |" in page


def test_a_run_in_part_that_fails_or_no_longer_has_it_is_believed() -> None:
    whole = column(date="2026-01-02", tests=[EFFECT])
    fails = column(date="2026-02-03", tests=[outcome("failed", power="api")], whole=False)
    gone = column(date="2026-02-03", cells=claims(power=("none", "gone")), whole=False)
    assert merged(whole, fails).cells["power"].standing is Standing.FAILS
    assert merged(whole, gone).cells["power"].standing is Standing.NONE
    assert merged(fails, column(date="2026-03-04", tests=[API], whole=False)).cells["power"].failed == ("t",)


def test_a_whole_run_replaces_what_was_known_and_an_older_one_does_not() -> None:
    old = column(date="2026-01-02", tests=[EFFECT])
    new = column(date="2026-02-03", tests=[API])
    assert merged(old, new).cells["power"].standing is Standing.API
    assert merged(new, old).cells["power"].standing is Standing.API


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    before = column(tests=[EFFECT, outcome("failed", "x", usage="api")], cells=claims(changes=("none", "why")))
    write(before, tmp_path / "a.json")
    assert everything([tmp_path / "a.json"]) == [before]
    assert homes(tmp_path) == {ColumnName(driver="d", hypervisor="h"): tmp_path / "a.json"}


def test_the_same_column_in_two_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.json", "b.json"):
        write(column(), tmp_path / name)
    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    assert "is in another file too" in capsys.readouterr().err


def test_what_the_agent_adds_is_told_apart() -> None:
    page = render([column(cells=claims(usage=("agent", "")), tests=[outcome("passed", usage="api")])])
    assert "| usage | agent · API |" in page
    assert "## What the host agent adds\n\n- d: h: `usage`\n" in page
    assert "## What the host agent adds" not in render([column()])


def test_reasons_become_footnotes_and_hostile_text_stays_text() -> None:
    cells = claims(power=("none", "no | <b>power</b>\n# here &#60;"))
    page = render([column(cells=cells, hypervisor="h|\n<script>", driver="[x](y)", tests=[])])
    assert "| power | none [1] |" in page
    assert "1. no &#124; &#60;b&#62;power&#60;/b&#62; # here &#38;#60;" in page
    assert "<script>" not in page
    assert "[x]" not in page
    overview = page.partition("## At a glance")[2].partition("## ")[0]
    assert overview.count("\n| ") == len(FEATURES) + 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "3", '{"yamori": 1, "date": 2, "subjects": [3]}', "\x00", "[" * 100_000),
        '{"yamori": "1", "date": "2026-01-01", "subjects": [{"driver": "d", "hypervisor": "h", "tests": [],'
        ' "cells": {"power": {"level": "splendid", "reason": ""}}}]}',
        '{"form": "yamori support matrix, one column, 1", "name": {}}',
    ],
    ids=range(9),
)
def test_a_file_that_is_no_result_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 1
    said = capsys.readouterr()
    assert "is not a result of the kit" in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


def test_without_results_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_runs_can_be_shown_without_being_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write_run(tmp_path / "old.json", date="2026-01-01", tests=[outcome("failed", power="api")])
    new = write_run(tmp_path / "new.json", date="2026-02-01", tests=[EFFECT], cells=CLAIMS)
    assert main([str(new), str(old)]) == 0
    assert "| power | native · effect |" in capsys.readouterr().out


def test_what_is_recorded_in_the_repository_is_what_its_page_shows() -> None:
    paths = sorted(RESULTS.glob("*.json"))
    recorded, runs = read(paths)
    assert not runs, "runs are laid over what is recorded with --into results"
    assert len(recorded) == len(paths) >= 3
    page = (ROOT / "docs" / "support-matrix.md").read_text(encoding="utf-8")
    fresh = page == render(everything(paths))
    assert fresh, "docs/support-matrix.md has fallen behind: make docs"
