"""Documentation that cannot rot: generated pages are fresh, examples are valid, everything has its line."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from tests.architecture.tree import PACKAGE, ROOT, files, parsed, shown
from yamori.capabilities.session import Acting, Sensing
from yamori.cli.main import app
from yamori.control.configuration import configure
from yamori.model.actions import VERBS
from yamori.modules.firewall.reading import read_groups
from yamori.policy.reading import read_policy
from yamori.web.api.table import ROUTES

PAGES = [path for path in files() if path.suffix == ".md"]
COMMAND_LINE = typer.main.get_command(app)


def commands(group: Any = COMMAND_LINE, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(group, TyperGroup):
        return [path]
    return [found for name, below in group.commands.items() for found in commands(below, (*path, name))]


def examples(beginning: str) -> list[tuple[Path, str]]:
    return [
        (path, block)
        for path in PAGES
        for block in re.findall(r"^```ya?ml\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
        if re.search(rf"^{beginning}:", block, re.M)
    ]


def page_name(value: Path | str) -> str:
    return value.name if isinstance(value, Path) else ""


def test_the_pages_written_from_the_code_are_fresh() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "scripts.reference", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(
    ("page", "text"), examples("endpoints"), ids=lambda v: v.name if isinstance(v, Path) else ""
)
def test_every_fleet_in_the_documentation_is_valid(page: Path, text: str) -> None:
    configure(text, shown(page))


@pytest.mark.parametrize(("page", "text"), examples("groups"), ids=page_name)
def test_every_groups_document_in_the_documentation_is_valid(page: Path, text: str) -> None:
    read_groups(text, shown(page))


POLICIES = [each for each in examples("rules") if each not in examples("groups")]


@pytest.mark.parametrize(("page", "text"), POLICIES, ids=page_name)
def test_every_policy_in_the_documentation_is_valid(page: Path, text: str) -> None:
    read_policy(text, shown(page))


def test_every_capability_verb_and_route_has_its_line() -> None:
    text = "".join(
        (ROOT / "docs" / "reference" / name).read_text("utf-8") for name in ("capabilities.md", "api.md")
    )
    words = [*(f.name for side in (Sensing, Acting) for f in dataclasses.fields(side)), *VERBS]
    assert not [word for word in words if f"| `{word}` |" not in text]
    assert not [route.name for route in ROUTES.values() if f"| {route.method} | [`{route.full_path}`]" not in text]


def test_every_command_has_its_line_and_an_example() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    assert not [path for path in commands() if f"yamori {' '.join(path)}" not in text]


def test_every_command_that_a_page_shows_exists() -> None:
    known = {path for found in commands() for path in (found[:n] for n in range(1, len(found) + 1))}
    unknown = []
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            for shown_command in re.findall(r"(?:^|`|\$ |sudo )yamori ((?:[a-z]+(?:-[a-z]+)* ?)+)", line):
                words = tuple(shown_command.split())
                if words and words[:1] not in known:
                    unknown.append(f"{shown(page)}: yamori {' '.join(words)}")
    assert not unknown


def test_public_names_are_documented() -> None:
    """ruff's D1 asks the same of functions and classes; here the packages that strangers import are held to it."""
    import ast

    undocumented = []
    for package in ("model", "capabilities", "manifest", "testing"):
        for path in sorted((PACKAGE / package).rglob("*.py")):
            for node in parsed(path).body:
                named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                overload = named and any(getattr(d, "id", "") == "overload" for d in node.decorator_list)
                if named and not overload and not node.name.startswith("_") and not ast.get_docstring(node):
                    undocumented.append(f"{shown(path)}: {node.name}")
    assert not undocumented


def test_every_setting_says_what_it_means() -> None:
    """A setting within settings may be explained by the line of what it is in."""
    text = (ROOT / "docs" / "reference" / "fleet.md").read_text("utf-8")
    assert not [key for key in re.findall(r"^\| `([^`]+)` \|.*\|  \|$", text, re.M) if "." not in key]


def test_every_page_can_be_reached_from_the_index() -> None:
    text = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = [p.relative_to(ROOT / "docs") for p in PAGES if p.is_relative_to(ROOT / "docs")]
    assert not [
        str(p) for p in pages if p.parts[0] != "decisions" and p.name != "index.md" and f"({p})" not in text
    ]
