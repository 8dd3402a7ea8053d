"""What is imported is declared, what is declared is imported, and each has its reason in a decision."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.architecture.tree import ROOT, imported, python_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def plain(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]).lower()


RUNTIME = {plain(r) for r in PROJECT["dependencies"]}
EXTRAS = ("libvirt", "vsphere", "bench", "testing")
OPTIONAL = {plain(r) for extra in EXTRAS for r in PROJECT["optional-dependencies"][extra]}


def used() -> set[str]:
    """Distributions whose modules our code imports."""
    owners = packages_distributions()
    tops = {name.partition(".")[0] for path in python_files() for name in imported(path)}
    outside = tops - set(sys.stdlib_module_names) - {"yamori", "scripts", "tests"}
    return {plain(owner) for top in outside for owner in owners.get(top, [top])}


def test_every_import_is_declared_and_every_declaration_imported() -> None:
    assert used() == RUNTIME | OPTIONAL


def test_there_are_few_dependencies_and_each_has_its_reason() -> None:
    text = (ROOT / "docs" / "decisions" / "0012-dependencies.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| ([a-z0-9.-]+) \|", text, re.M)) - {"package", "---"}
    assert {plain(name) for name in listed} == RUNTIME | OPTIONAL


def test_every_dependency_is_pinned() -> None:
    text = (ROOT / "requirements" / "runtime-and-dev.txt").read_text(encoding="utf-8")
    pinned = {plain(line.partition("==")[0]) for line in text.splitlines() if "==" in line and line[0] != " "}
    everything = RUNTIME | {plain(r) for extra in PROJECT["optional-dependencies"].values() for r in extra}
    assert everything - {"yamori"} <= pinned
