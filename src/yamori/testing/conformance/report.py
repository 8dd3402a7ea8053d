"""A pytest plugin that writes down what the kit has proven, as JSON. Use it with `-p`:

pytest -p yamori.testing.conformance.report --conformance-report=results/NAME.json tests/conformance/...
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import yamori

OPTION = "--conformance-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file to write."""
    group = parser.getgroup("yamori", "Yamori's driver conformance kit")
    group.addoption(OPTION, default=None, metavar="PATH", help="write what the kit has proven to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write down, unless this is one of several workers: the one in charge writes."""
    path = config.getoption(OPTION)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)), "yamori-conformance-recorder")


class Recorder:
    """Collects the outcome of every test of the kit, by endpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._subjects: dict[tuple[str, str], dict[str, Any]] = {}
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        noted = {str(key): value for key, value in report.user_properties}
        proven = [str(value) for key, value in report.user_properties if key == "yamori_proves"]
        if "yamori_driver" not in noted:
            return
        subject = (str(noted["yamori_driver"]), str(noted["yamori_hypervisor"]))
        entry = self._subjects.setdefault(subject, {"cells": {}, "tests": []})
        if "yamori_cells" in noted:
            entry["cells"] = json.loads(str(noted["yamori_cells"]))
        test = self._tests.get(report.nodeid)
        if test is None:
            test = self._tests[report.nodeid] = {
                "name": report.nodeid.rpartition("::")[2],
                "outcome": "passed",
            }
            entry["tests"].append(test)
        test["proves"] = dict(each.split("=", 1) for each in proven or [str(noted["yamori_word"])])
        if report.outcome == "failed" or (report.outcome == "skipped" and test["outcome"] == "passed"):
            test["outcome"] = report.outcome
            if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
                test["why"] = str(report.longrepr[2])

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        result = {
            "yamori": yamori.__version__,
            "date": datetime.now(UTC).date().isoformat(),
            "subjects": [
                {"driver": driver, "hypervisor": hypervisor, **entry}
                for (driver, hypervisor), entry in sorted(self._subjects.items())
            ],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
