"""Decisions, change log, threat model and architecture page: well formed, and what they point at exists."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, files, has_test, shown

DECISIONS = ROOT / "docs" / "decisions"
NUMBERED = sorted(DECISIONS.glob("[0-9]*.md"))
REFERENCE = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)*)`")


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in NUMBERED]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_a_decision_has_its_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
    assert re.match(rf"# {path.name[:4]}[.:]? ", text), "the title bears the number"
    assert re.search(r"^(- |\*\*)?Status\b", text, re.M | re.I) or re.search(r"^## Status", text, re.M)
    headings = {heading.lower() for heading in re.findall(r"^## (.+)$", text, re.M)}
    assert any("context" in h for h in headings), "context: the state before, and what was wrong with it"
    assert any("decision" in h for h in headings)
    assert any(word in h for h in headings for word in ("gave up", "give up", "consequence")), "what it costs"


def test_the_change_log_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    sections = re.findall(r"^## (.+)$", text, re.M)
    assert sections[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", section) for section in sections[1:])
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("page", ["docs/threat-model.md", "ARCHITECTURE.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = REFERENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert named
    assert not [reference for reference in named if not has_test(reference)]


def test_every_line_of_the_threat_model_names_its_test() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    claims = text.partition("## What each must not achieve")[2].partition("\n## ")[0]
    lines = re.findall(r"^- (.+(?:\n  .+)*)", claims, re.M)
    assert len(lines) >= 15
    assert not [line for line in lines if not REFERENCE.search(line)]


def test_every_invariant_of_the_architecture_names_what_proves_it() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    invariants = text.partition("## Invariants")[2].partition("\n## ")[0]
    lines = re.findall(r"^- (.+(?:\n  .+)*)", invariants, re.M)
    assert len(lines) >= 10
    assert not [line for line in lines if not REFERENCE.search(line)]


def test_the_architecture_page_has_a_sentence_for_every_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))
    assert not [name for name in packages if f"`{name}/`" not in text]


def test_every_link_between_pages_leads_somewhere() -> None:
    dead = []
    for path in files():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
                dead.append(f"{shown(path)}: {target}")
    assert not dead
