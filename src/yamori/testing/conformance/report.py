"""A pytest plugin that writes down what the kit has proven, as JSON. Use it with `-p`:

pytest -p yamori.testing.conformance.report --conformance-report=RUN.json tests/conformance/...
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import yamori
from yamori.testing.conformance.contract import Contract

OPTION = "--conformance-report"
STAGE = "--conformance-stage"
LEFT_OUT = "yamori_left_out"
"""Under this name a worker tells the one in charge in which files tests of the kit were deselected."""
PROMISES = ("none", "agent", "native", "unknown")
"""Of two answers that were given as often the one that comes first here counts: it promises less."""


def edition() -> str:
    """Return a short fingerprint of the kit's promises: all its files but this one, which only writes down."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        if path != Path(__file__):
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:8]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("yamori", "Yamori's driver conformance kit")
    group.addoption(OPTION, default=None, metavar="PATH", help="write what the kit has proven to this file")
    group.addoption(STAGE, default="", metavar="WORD", help="which part of the tests this is, for the matrix")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write down, unless this is one of several workers: the one in charge writes."""
    path = config.getoption(OPTION)
    if path:
        recorder = (
            Worker(config)
            if hasattr(config, "workerinput")
            else Recorder(Path(path), stage=str(config.getoption(STAGE)))
        )
        config.pluginmanager.register(recorder, "yamori-conformance-recorder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the kit's tests, so that one that fails before its first line is known as the kit's all the same."""
    for item in items:
        contract = _contract(item)
        if contract is not None and contract.variant is not None:
            item.user_properties.append(("yamori_contract", f"{contract.feature}={contract.proof}"))


def _contract(item: pytest.Item) -> type[Contract] | None:
    cls = getattr(item, "cls", None)
    return cls if isinstance(cls, type) and issubclass(cls, Contract) else None


def _files(items: Sequence[pytest.Item]) -> set[str]:
    contracts = ((item, _contract(item)) for item in items)
    return {_file(item.nodeid) for item, contract in contracts if contract and contract.variant is not None}


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class Worker:
    """One of several that run tests: tells the one in charge what it left out, which nobody else would."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left_out: set[str] = set()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note it."""
        self._left_out |= _files(items)

    def pytest_sessionfinish(self) -> None:
        """Tell it."""
        output: dict[str, Any] = getattr(self._config, "workeroutput", {})
        output[LEFT_OUT] = sorted(self._left_out)


class Recorder:
    """Collects the outcome of every test of the kit, by endpoint."""

    def __init__(self, path: Path, *, stage: str = "") -> None:
        self._path = path
        self._stage = stage
        self._subjects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._tests: dict[str, dict[str, Any]] = {}
        self._of_place: dict[str, set[tuple[str, str, str]]] = {}
        """Which endpoints the tests of a class, and those of a file, spoke of."""
        self._nameless: dict[str, str] = {}
        """Failed before they said whose they are: for which row the class speaks."""
        self._left_out: set[str] = set()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note where not everything is run."""
        self._left_out |= _files(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Hear from one of several workers where not everything was run."""
        self._left_out |= set(getattr(node, "workeroutput", {}).get(LEFT_OUT, ()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        noted = {str(key): str(value) for key, value in report.user_properties}
        if "yamori_driver" not in noted:
            if "yamori_contract" in noted and report.outcome == "failed":
                self._nameless[report.nodeid] = noted["yamori_contract"]
            return
        self._nameless.pop(report.nodeid, None)
        subject = (noted["yamori_driver"], noted["yamori_hypervisor"], noted["yamori_variant"])
        entry = self._subjects.setdefault(subject, {"cells": {}, "tests": [], "whole": True, "files": set()})
        entry["files"].add(_file(report.nodeid))
        entry["whole"] = entry["whole"] and noted["yamori_part"] == "False"
        for place in (_file(report.nodeid), report.nodeid.rpartition("::")[0]):
            self._of_place.setdefault(place, set()).add(subject)
        test = self._tests.get(report.nodeid)
        if test is None:
            test = self._tests[report.nodeid] = {"name": report.nodeid.rpartition("::")[2], "outcome": "passed"}
            entry["tests"].append((report.nodeid, test))
            for row, cell in json.loads(noted["yamori_cells"]).items():
                entry["cells"].setdefault(row, Counter())[cell["level"], cell["reason"]] += 1
        proven = [str(value) for key, value in report.user_properties if key == "yamori_proves"]
        test["proves"] = _proofs(proven or [noted["yamori_word"]])
        if report.outcome == "failed" or (report.outcome == "skipped" and test["outcome"] == "passed"):
            test["outcome"] = report.outcome
            if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
                test["why"] = str(report.longrepr[2])

    def _claim_the_nameless(self) -> list[str]:
        """Count tests that failed too early for the endpoint that others of their class, or file, speak of."""
        lost = []
        for nodeid, word in sorted(self._nameless.items()):
            for place in (nodeid.rpartition("::")[0], _file(nodeid)):
                whose = self._of_place.get(place, set())
                if len(whose) == 1:
                    test = {"name": nodeid.rpartition("::")[2], "outcome": "failed", "proves": _proofs([word])}
                    self._subjects[next(iter(whose))]["tests"].append((nodeid, test))
                    break
            else:
                lost.append(nodeid)
        return lost

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the file."""
        lost = self._claim_the_nameless()
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        result = {
            "yamori": yamori.__version__,
            "kit": edition(),
            "stage": self._stage,
            "date": datetime.now(UTC).date().isoformat(),
            "lost": lost,
            "subjects": [
                {
                    "driver": driver,
                    "hypervisor": hypervisor,
                    "variant": variant,
                    "whole": entry["whole"] and not entry["files"] & self._left_out and not interrupted,
                    "cells": {row: _usual(answers) for row, answers in entry["cells"].items()},
                    "tests": [test for _, test in sorted(entry["tests"], key=lambda pair: str(pair[0]))],
                }
                for (driver, hypervisor, variant), entry in sorted(self._subjects.items())
            ],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _proofs(words: Sequence[str]) -> dict[str, str]:
    """Return how each row is proven; a row that a test names twice is proven as well as the better word says."""
    found: dict[str, str] = {}
    for word in words:
        row, _, proof = word.partition("=")
        found[row] = max(proof, found.get(row, ""))  # "api" < "effect"
    return found


def _usual(answers: Counter[tuple[str, str]]) -> dict[str, str]:
    """Return what an endpoint mostly answered: a busy VM may tell less for a moment. Unknown yields."""

    def weight(answer: tuple[str, str]) -> tuple[bool, int, int, str]:
        level, reason = answer
        of_level = sum(count for (each, _), count in answers.items() if each == level)
        return level != "unknown", of_level, -PROMISES.index(level), reason

    level, reason = max(answers, key=weight)
    return {"level": level, "reason": reason}
