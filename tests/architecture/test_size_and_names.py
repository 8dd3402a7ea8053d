"""One noun or one verb a file; words that fit everything explain nothing."""

import ast
import re

import pytest

from tests.architecture.tree import PACKAGE, ROOT, classes, files, parsed, python_files, shown

HARD_STOP = 400
CODE = frozenset({".py", ".c", ".h", ".js", ".css", ".sh"})
BANNED_FILES = frozenset(
    {
        "base",
        "bases",
        "common",
        "commons",
        "core",
        "helper",
        "helpers",
        "impl",
        "lib",
        "manager",
        "managers",
        "misc",
        "stuff",
        "tools",
        "util",
        "utils",
    }
)
BANNED_ENDINGS = ("Manager", "Helper", "Helpers", "Util", "Utils", "Base", "Impl", "Data", "Info")
BANNED_BEGINNINGS = ("Base", "Default")


def test_no_file_is_longer_than_the_hard_stop() -> None:
    long = {
        shown(path): lines
        for path in files()
        if path.suffix in CODE and (lines := len(path.read_text(encoding="utf-8").splitlines())) > HARD_STOP
    }
    assert not long


def test_no_module_or_package_has_a_name_that_fits_everything() -> None:
    ours = [p for p in files() if p.suffix == ".py"]
    words = {shown(p): {part.removesuffix(".py").lower() for part in p.relative_to(ROOT).parts} for p in ours}
    assert not [name for name, parts in words.items() if parts & BANNED_FILES]


@pytest.mark.parametrize("folder", ["src", "examples"])
def test_no_class_has_a_name_that_fits_everything(folder: str) -> None:
    bad = [
        f"{shown(path)}: {node.name}"
        for path in python_files(ROOT / folder)
        for node in classes(path)
        if node.name.endswith(BANNED_ENDINGS) or re.match(rf"({'|'.join(BANNED_BEGINNINGS)})[A-Z]", node.name)
    ]
    assert not bad


def test_a_module_docstring_is_there_and_short() -> None:
    texts = {shown(path): ast.get_docstring(parsed(path)) for path in python_files(PACKAGE)}
    assert not [name for name, text in texts.items() if not text]
