"""A capability is one word: its Protocol's file, the drivers' files, the kit's file, the rows of the matrix."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, bound_in, classes, imported, is_protocol, python_files, shown
from yamori.capabilities.session import Acting, Sensing
from yamori.model.support import FEATURES

SIDES = {"sensing": Sensing, "acting": Acting}
WORDS = sorted({field.name for side in SIDES.values() for field in dataclasses.fields(side)})
RESERVED_IN_DRIVERS = frozenset({"__init__", "settings", "connection", "translate"})
MODULE_WORDS = frozenset({"__init__", "settings", "sense", "assess", "respond", "steps"})
DRIVERS = sorted(p.parent for p in (PACKAGE / "drivers").glob("*/__init__.py"))
FUNCTIONS = sorted(p.parent for p in (PACKAGE / "modules").glob("*/__init__.py"))
MODULES = [folder for folder in FUNCTIONS if "MODULE" in bound_in(folder / "__init__.py")]
"""Those that introduce themselves. A function of which only the judgement is written has no card yet."""
EFFECTFUL = (
    "asyncio",
    "socket",
    "subprocess",
    "os",
    "pathlib",
    "sqlite3",
    "sqlalchemy",
    "httpx",
    "time",
    "random",
)


@pytest.mark.parametrize("side", sorted(SIDES))
def test_every_ability_of_a_session_has_the_file_of_its_word(side: str) -> None:
    words = {field.name for field in dataclasses.fields(SIDES[side])}
    folder = PACKAGE / "capabilities" / side
    declaring = {p.stem for p in folder.glob("*.py") if any(map(is_protocol, classes(p)))}
    assert declaring == words


def test_every_row_of_the_matrix_begins_with_a_capability_and_every_capability_has_a_row() -> None:
    assert {feature.partition(".")[0] for feature in FEATURES} == set(WORDS)
    assert len(set(FEATURES)) == len(FEATURES)


@pytest.mark.parametrize("word", WORDS)
def test_every_capability_is_in_the_simulator(word: str) -> None:
    assert (PACKAGE / "drivers" / "simulator" / f"{word}.py").is_file()


@pytest.mark.parametrize("word", WORDS)
def test_every_capability_is_in_the_conformance_kit(word: str) -> None:
    assert (PACKAGE / "testing" / "conformance" / f"{word}.py").is_file()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda p: p.name)
def test_a_driver_has_its_four_reserved_files_and_offers_only_capabilities(driver: Path) -> None:
    stems = {path.stem for path in driver.glob("*.py")}
    assert {"__init__", "settings"} <= stems
    assert stems & set(WORDS), "a driver offers something"
    acting_or_sensing = {
        shown(path)
        for path in python_files(driver)
        if path.stem not in RESERVED_IN_DRIVERS | set(WORDS)
        for node in classes(path)
        if any(getattr(base, "id", None) in _protocols() for base in node.bases)
    }
    assert not acting_or_sensing, "a capability is provided by the file that bears its word"


@pytest.mark.parametrize("module", MODULES, ids=lambda p: p.name)
def test_a_module_has_the_six_words(module: Path) -> None:
    stems = {path.stem for path in python_files(module)}
    assert {"__init__", "settings"} <= stems
    assert stems & {"sense", "assess", "respond", "steps"}


@pytest.mark.parametrize("module", FUNCTIONS, ids=lambda p: p.name)
def test_what_judges_in_a_module_is_pure(module: Path) -> None:
    for path in python_files(module):
        if path.stem in {"sense", "steps"}:
            continue
        tops = {name.partition(".")[0] for name in imported(path)}
        assert not tops & set(EFFECTFUL), f"{shown(path)} must be pure"
        assert not any(name.startswith("yamori.capabilities.acting") for name in imported(path)), shown(path)


def test_the_modules_that_the_broker_lists_are_the_folders() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = project["entry-points"]
    assert set(entries["yamori.modules"]) == {p.name for p in MODULES}
    assert {value.partition(":")[0].rpartition(".")[2] for value in entries["yamori.drivers"].values()} == {
        p.name for p in DRIVERS
    }


def _protocols() -> set[str]:
    return {
        node.name
        for side in SIDES
        for path in (PACKAGE / "capabilities" / side).glob("*.py")
        for node in classes(path)
        if is_protocol(node)
    }
