"""The plugin that writes down what the kit has proven: alone, with several workers, and when tests fail early."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from yamori.testing.conformance import report

KIT = """
    import pytest
    from yamori.drivers.simulator import SimulatorSession, World
    from yamori.model.ids import EndpointName
    from yamori.testing.conformance.support import SupportContract

    class Simulated(SupportContract):
        @pytest.fixture
        def session(self):
            without = {"changes": "taken away"}
            return SimulatorSession(World(), EndpointName("a"), without=without)

        @pytest.fixture
        def vm(self, session):
            return session.world.vms()[0]

"""
WHOLE = """
    class TestSupport(Simulated):
        def test_fails(self):
            assert False

    class TestLeftOut(Simulated):
        variant = None

    class TestByHand(Simulated):
        variant = "by hand"
"""
EARLY = """
    class TestSupport(Simulated):
        @pytest.fixture
        def refuses(self):
            raise RuntimeError("no such host")

        def test_fails_before_it_begins(self, refuses):
            pass

    class TestNeverThere(Simulated):
        feature = "power"

        @pytest.fixture
        def session(self):
            raise RuntimeError("no such host")

    class TestLeftOut(TestNeverThere):
        variant = None
"""
SMOKE = """
    class TestSmoke(Simulated):
        part = True
"""


@pytest.fixture
def play(pytester: pytest.Pytester, tmp_path: Path) -> Any:
    """Run tests of the kit with the plugin and return what it wrote."""
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")

    def run(tests: str, *options: str) -> dict[str, Any]:
        path = tmp_path / "results" / "run.json"
        pytester.makepyfile(KIT + tests)
        plugin = ("-p", "yamori.testing.conformance.report", f"--conformance-report={path}")
        pytester.inline_run("-q", *plugin, *options)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    return run


def test_a_run_of_the_kit_is_written_down(play: Any) -> None:
    document = play(WHOLE, "--conformance-stage=unit")
    assert document["kit"] == report.edition()
    assert document["stage"] == "unit"
    assert document["lost"] == []
    subject, by_hand = document["subjects"]
    assert (subject["driver"], subject["hypervisor"], subject["variant"]) == ("simulator", "simulator 1", "")
    assert by_hand["variant"] == "by hand"
    assert subject["whole"] is by_hand["whole"] is True
    assert subject["cells"]["changes"] == {"level": "none", "reason": "taken away"}
    outcomes = {test["name"]: test["outcome"] for test in subject["tests"]}
    assert outcomes["test_fails"] == "failed"
    assert outcomes["test_probing_changes_nothing"] == "passed"
    assert len(outcomes) == len(subject["tests"]) == len(by_hand["tests"]) + 1


def test_several_workers_write_down_the_same_as_one(play: Any) -> None:
    alone = play(WHOLE)
    assert play(WHOLE, "-n", "2") == alone


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_run_that_leaves_tests_out_is_a_run_in_part(play: Any, workers: list[str]) -> None:
    (subject, _) = play(WHOLE, "-k", "changes_nothing", *workers)["subjects"]
    assert subject["whole"] is False


def test_a_smoke_test_is_a_run_in_part(play: Any) -> None:
    (subject,) = play(SMOKE)["subjects"]
    assert subject["whole"] is False


def test_a_test_that_fails_before_it_begins_counts_for_the_endpoint_of_its_file(play: Any) -> None:
    document = play(EARLY)
    (subject,) = document["subjects"]
    failed = {test["name"]: test["proves"] for test in subject["tests"] if test["outcome"] == "failed"}
    assert failed["test_fails_before_it_begins"] == {"inventory": "api"}
    assert failed["test_probing_changes_nothing"] == {"power": "api"}
    assert document["lost"] == []
    assert len(failed) > 10


def test_a_test_that_fails_before_anybody_knows_whose_it_is_is_lost_and_said_so(play: Any) -> None:
    document = play(EARLY, "-k", "NeverThere or LeftOut")
    assert document["subjects"] == []
    assert document["lost"]
    assert all("TestNeverThere" in nodeid for nodeid in document["lost"])


def test_the_edition_of_the_kit_is_that_of_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conformance"
    shutil.copytree(Path(report.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(report, "__file__", str(folder / "report.py"))
    before = report.edition()
    (folder / "report.py").write_text("", encoding="utf-8")
    assert report.edition() == before
    (folder / "power.py").write_text("", encoding="utf-8")
    assert report.edition() != before
    assert len(before) == 8


@pytest.mark.parametrize(
    ("answers", "usual"),
    [
        ({"native": 9, "none": 1}, "native"),
        ({"native": 1, "none": 9}, "none"),
        ({"native": 2, "none": 2}, "none"),
        ({"native": 2, "agent": 2}, "agent"),
        ({"unknown": 9, "native": 1}, "native"),
        ({"unknown": 9, "none": 1}, "none"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_an_endpoint_that_answers_differently_counts_by_what_it_mostly_says(
    answers: dict[str, int], usual: str
) -> None:
    for order in (answers, dict(reversed(answers.items()))):
        assert report._usual(Counter({(level, ""): n for level, n in order.items()}))["level"] == usual


def test_reasons_do_not_split_the_vote() -> None:
    answers = Counter({("none", "a"): 2, ("none", "b"): 2, ("native", ""): 3})
    assert report._usual(answers) == {"level": "none", "reason": "b"}
