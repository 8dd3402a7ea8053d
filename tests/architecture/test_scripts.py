"""The scripts and the two commands: what can be held without running them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_a_script_is_clean_and_executable(path: Path) -> None:
    assert path.stat().st_mode & 0o111
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    outcome = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


def test_every_debian_package_has_a_part_and_a_reason() -> None:
    lines = [
        line
        for line in (ROOT / "packages.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.+-]+ +(python|lab|browser|check) +\S.+", line), line


def test_the_readme_names_recipes_that_exist() -> None:
    recipes = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8")))
        assert named
        assert named <= recipes, f"{page}: {named - recipes}"


def test_ci_runs_the_command_that_the_readme_gives_for_tests() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_help_lists_every_recipe() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = set(re.findall(r"^([a-z-]+):", text, re.M))
    outcome = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert recipes == set(re.findall(r"^  make ([a-z-]+)", outcome.stdout, re.M))
