"""The guard: a cell that gets worse without a decision fails, what did not run is told, what got better too."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.testing.runs import claims, column, outcome, write_run
from yamori.testing.matrix.__main__ import main
from yamori.testing.matrix.comparison import Change, Kind, compared
from yamori.testing.matrix.record import write
from yamori.testing.matrix.setbacks import BadSetback, Setback, load

ROOT = Path(__file__).resolve().parents[2]
EFFECT = outcome("passed", "effect", power="effect")
API = outcome("passed", "api", power="api")
FAILED = outcome("failed", "broken", power="api")
GONE = claims(power=("none", "taken away"))
UNKNOWN = claims(power=("unknown", "cannot tell"))
SETBACK = """
setbacks:
  - {driver: d, hypervisor: h, cell: power, from: effect, to: api, decision: docs/0001-why.md, date: 2026-01-03}
"""


def changes(old: dict[str, Any], new: dict[str, Any], accepted: tuple[Setback, ...] = ()) -> list[Change]:
    before, after = column(date="2026-01-02", **old), column(date="2026-02-03", **new)
    return compared({before.name: before}, {after.name: after}, accepted)


def only(found: list[Change]) -> tuple[Kind, str]:
    (change,) = found
    return change.kind, change.row


STEPS = [
    ({"tests": [EFFECT]}, {"tests": [API]}),
    ({"tests": [EFFECT]}, {"tests": []}),
    ({"tests": [API]}, {"tests": [outcome("skipped", power="effect")]}),
    ({"tests": [API]}, {"cells": GONE}),
    ({"tests": [API]}, {"cells": UNKNOWN}),
    ({"tests": [EFFECT]}, {"tests": [EFFECT, FAILED]}),
    ({}, {"cells": GONE}),
    ({"cells": GONE}, {"tests": [FAILED]}),
]


@pytest.mark.parametrize(("good", "bad"), STEPS)
def test_every_step_down_is_a_setback_and_every_step_up_is_told(good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert only(changes(good, bad)) == (Kind.WORSE, "power")
    assert only(changes(bad, good)) == (Kind.BETTER, "power")
    assert not changes(good, good)


def test_absent_and_unknown_are_as_good_as_each_other_but_the_change_is_told() -> None:
    assert only(changes({"cells": GONE}, {"cells": UNKNOWN})) == (Kind.CHANGED, "power")


def test_another_provider_is_told_and_is_no_setback() -> None:
    agent = {"cells": claims(power=("agent", "")), "tests": [EFFECT]}
    assert only(changes({"tests": [EFFECT]}, agent)) == (Kind.CHANGED, "power")


def test_a_proof_by_fewer_tests_is_told() -> None:
    assert only(changes({"tests": [EFFECT, API]}, {"tests": [EFFECT]})) == (Kind.THINNER, "power")


def test_a_new_version_of_the_hypervisor_is_held_to_what_the_old_one_did() -> None:
    old, new = {"hypervisor": "h 1.0", "tests": [EFFECT]}, {"hypervisor": "h 2.0", "tests": [API]}
    assert only(changes(old, new)) == (Kind.WORSE, "power")


def test_a_column_that_did_not_run_is_listed_and_no_setback() -> None:
    before = column(tests=[EFFECT])
    assert only(compared({before.name: before}, {}, ())) == (Kind.NOT_RUN, "")


def test_what_a_run_in_part_did_not_ask_is_listed_and_no_setback() -> None:
    (change,) = changes({"tests": [EFFECT]}, {"tests": [API], "whole": False})
    assert change.kind is Kind.NOT_RUN
    assert change.text == "only a part was run; older proofs (2026-01-02) stay: power"


@pytest.mark.parametrize("bad", [{"tests": [FAILED]}, {"cells": GONE}])
def test_a_run_in_part_is_held_to_what_it_did_ask(bad: dict[str, Any]) -> None:
    assert only(changes({"tests": [EFFECT]}, {**bad, "whole": False})) == (Kind.WORSE, "power")


def test_a_new_column_is_welcome_unless_it_fails() -> None:
    fine, failing = column(tests=[API]), column(tests=[FAILED])
    assert only(compared({}, {fine.name: fine}, ())) == (Kind.NEW, "")
    assert only(compared({}, {failing.name: failing}, ())) == (Kind.WORSE, "")


def test_a_failure_about_what_is_not_claimed_is_a_setback_of_the_column() -> None:
    assert only(changes({"cells": GONE}, {"cells": GONE, "tests": [FAILED]})) == (Kind.WORSE, "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one recorded column, and a decision about its power."""
    write(column(date="2026-01-02", tests=[EFFECT]), tmp_path / "results" / "h.json")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "0001-why.md").write_text("# 0001. Why\n\n`power` is gone.\n", encoding="utf-8")
    return tmp_path


def run(root: Path, *options: str, **changes: Any) -> int:
    path = write_run(root / "run.json", date="2026-02-03", **changes)
    return main([str(path), *options, str(root / "results"), "--root", str(root)])


def test_a_setback_fails_and_is_not_recorded(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / "results" / "h.json").read_text(encoding="utf-8")
    for option in ("--against", "--into"):
        assert run(root, option, tests=[API]) == 1
        said = capsys.readouterr().out
        assert "WORSE: d: h, power: native · effect (2026-01-02) → native · API" in said
        assert re.search(r"^== .* failed: 1 worse ==$", said, re.M)
    assert (root / "results" / "h.json").read_text(encoding="utf-8") == before


def test_a_setback_with_a_decision_is_told_and_may_be_recorded(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "results" / "setbacks.yaml").write_text(SETBACK, encoding="utf-8")
    assert run(root, "--against", tests=[API]) == 0
    assert "accepted: d: h, power: " in capsys.readouterr().out
    assert run(root, "--against", tests=[]) == 1, "deeper than the decision allows"
    assert run(root, "--into", tests=[API]) == 0
    assert (
        json.loads((root / "results" / "h.json").read_text(encoding="utf-8"))["cells"]["power"]["standing"]
        == "api"
    )
    assert run(root, "--against", tests=[API]) == 0


def test_a_better_run_is_recorded_and_a_new_column_gets_its_file(root: Path) -> None:
    assert run(root, "--into", tests=[EFFECT, API]) == 0
    assert run(root, "--into", driver="e", hypervisor="Other Thing 3", variant="by hand", tests=[API]) == 0
    assert sorted(path.name for path in (root / "results").glob("*.json")) == [
        "h.json",
        "other-thing-by-hand.json",
    ]


def test_a_run_whose_tests_failed_nobody_knows_where_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--into", tests=[EFFECT], lost=("tests/test_x.py::test_y",)) == 1
    assert "LOST: failed before it said whose it is: tests/test_x.py::test_y" in capsys.readouterr().out


def test_a_run_is_no_record(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(root / "results" / "raw.json")
    assert run(root, "--against") == 1
    assert "is a run, not a record" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (("docs/0001-why.md", "docs/0002-not-there.md"), "there is no decision"),
        (("docs/0001-why.md", "../../../../etc/hostname"), "there is no decision"),
        (("cell: power", "cell: changes"), "does not name `changes`"),
        (("cell: power", "cell: magic"), "no such row"),
        (("to: api", "to: effect"), "is no setback"),
        (("to: api", "to: worse"), "setbacks.0.to"),
        (("date: 2026-01-03", "date: soon"), "setbacks.0.date"),
        ((", date: 2026-01-03", ""), "setbacks.0.date"),
        (("{driver", "{extra: 1, driver"), "setbacks.0.extra"),
        (("setbacks:", "setbacks: ["), "cannot be read"),
    ],
)
def test_a_setback_without_a_decision_that_speaks_of_it_is_refused(
    root: Path, spoil: tuple[str, str], why: str
) -> None:
    path = root / "results" / "setbacks.yaml"
    path.write_text(SETBACK, encoding="utf-8")
    assert len(load(root / "results", root)) == 1
    path.write_text(SETBACK.replace(*spoil), encoding="utf-8")
    with pytest.raises(BadSetback, match=re.escape(why)):
        load(root / "results", root)


def test_the_repositorys_own_setbacks_have_their_decisions() -> None:
    load(ROOT / "results", ROOT)


def test_the_tests_end_with_the_comparison() -> None:
    recipe = re.search(r"^test: .*\n\t@(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe is not None
    assert recipe[1].split()[-1] == "matrix"
