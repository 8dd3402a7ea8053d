"""Tell which files have outgrown the budget of 300 lines; the hard stop of 400 is a test."""

import pytest

from tests.architecture.tree import PACKAGE, python_files, shown

BUDGET = 300


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path in python_files(PACKAGE):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > BUDGET:
            terminalreporter.write_line(f"over the budget of {BUDGET} lines: {shown(path)} ({lines})")
