"""From a run of the kit to the matrix: what is proven is shown, what failed is shown as failed."""

import json
from pathlib import Path
from typing import Any

import pytest

from yamori.model.support import FEATURES
from yamori.testing import matrix

CLAIMS = {name: {"level": "native", "reason": ""} for name in FEATURES}


def result(folder: Path, name: str = "r.json", **changes: Any) -> Path:
    subject = {"driver": "d", "hypervisor": "h 1", "cells": CLAIMS, "tests": [], **changes}
    path = folder / name
    date = changes.pop("date", "2026-01-02")
    path.write_text(json.dumps({"yamori": "0.1.0", "date": date, "subjects": [subject]}), encoding="utf-8")
    return path


def outcome_of(outcome: str, **proves: str) -> dict[str, Any]:
    return {"name": "t", "outcome": outcome, "proves": {k.replace("__", "."): v for k, v in proves.items()}}


def cell(folder: Path, row: str, **changes: Any) -> str:
    (subject,) = matrix.load([result(folder, **changes)])
    return matrix.verdict(subject, row)


def test_a_claim_without_a_test_is_not_shown_as_proven(tmp_path: Path) -> None:
    assert cell(tmp_path, "power") == "native · unproven"


def test_a_skipped_test_proves_nothing(tmp_path: Path) -> None:
    assert cell(tmp_path, "power", tests=[outcome_of("skipped", power="api")]) == "native · unproven"


def test_effect_proven_is_told_apart_from_api_proven(tmp_path: Path) -> None:
    api, effect = outcome_of("passed", power="api"), outcome_of("passed", power="effect")
    assert cell(tmp_path, "power", tests=[api]) == "native · API"
    assert cell(tmp_path, "power", tests=[api, effect]) == "native · effect"


def test_one_failure_outweighs_all_that_passed_and_a_word_speaks_for_its_rows(tmp_path: Path) -> None:
    tests = [outcome_of("passed", limits__cpu_cap="effect"), outcome_of("failed", limits="api")]
    assert cell(tmp_path, "limits.cpu_cap", tests=tests) == "**FAILS** (1 of 2)"
    assert cell(tmp_path, "power", tests=tests) == "native · unproven"


def test_what_was_not_probed_is_not_shown_as_absent(tmp_path: Path) -> None:
    assert cell(tmp_path, "power", cells={}) == "**not probed**"


def test_reasons_become_footnotes_and_hostile_text_stays_text(tmp_path: Path) -> None:
    cells = {**CLAIMS, "power": {"level": "none", "reason": "no | <b>power</b>\n# here"}}
    page = matrix.render(matrix.load([result(tmp_path, cells=cells, hypervisor="h|\n<script>")]))
    assert "| power | none [1] |" in page
    assert "1. no &#124; &#60;b&#62;power&#60;/b&#62; # here" in page
    assert "<script>" not in page
    assert page.count("\n| ") == len(FEATURES) + 1


def test_of_two_results_for_one_hypervisor_the_newer_one_counts(tmp_path: Path) -> None:
    old = result(tmp_path, "old.json", date="2026-01-01", tests=[outcome_of("failed", power="api")])
    new = result(tmp_path, "new.json", date="2026-02-01")
    for order in ([old, new], [new, old]):
        (subject,) = matrix.load(order)
        assert subject.date == "2026-02-01"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"yamori": 1, "date": 2, "subjects": [3]}', "\x00"])
def test_a_file_that_is_no_result_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    assert matrix.main([str(path)]) == 1
    said = capsys.readouterr()
    assert "is not a result of the kit" in said.err
    assert not said.out


def test_without_results_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_a_run_of_the_kit_is_written_down(pytester: pytest.Pytester, tmp_path: Path) -> None:
    path = tmp_path / "results" / "simulator.json"
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        """
        import pytest
        from yamori.drivers.simulator import SimulatorSession, World
        from yamori.model.ids import EndpointName
        from yamori.testing.conformance.patience import Eventually
        from yamori.testing.conformance.support import SupportContract

        class TestSupport(SupportContract):
            @pytest.fixture
            def session(self):
                without = {"changes": "taken away"}
                return SimulatorSession(World(), EndpointName("a"), without=without)

            @pytest.fixture
            def vm(self, session):
                return session.world.vms()[0]

            def test_fails(self):
                assert False

        class TestLeftOut(TestSupport):
            variant = None
        """
    )
    pytester.inline_run("-q", "-p", "yamori.testing.conformance.report", f"--conformance-report={path}")
    document = json.loads(path.read_text(encoding="utf-8"))
    (subject,) = document["subjects"]
    assert (subject["driver"], subject["hypervisor"]) == ("simulator", "simulator 1")
    assert subject["cells"]["changes"] == {"level": "none", "reason": "taken away"}
    outcomes = {test["name"]: test["outcome"] for test in subject["tests"]}
    assert outcomes["test_fails"] == "failed"
    assert outcomes["test_probing_changes_nothing"] == "passed"
    assert len(outcomes) == len(subject["tests"])
