"""The reference in the repository is what the program says of itself."""

import json
from pathlib import Path

import pytest

from yamori.web.api.table import ROUTES
from yamori.web.reference import texts, write

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
REGENERATE = "python -m yamori.web.reference docs/reference"


@pytest.mark.parametrize("name", ["api.md", "openapi.json"])
def test_the_reference_is_up_to_date(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == texts()[name], f"run {REGENERATE}"


def test_every_route_and_its_right_are_in_the_reference() -> None:
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")
    assert not [r.name for r in ROUTES.values() if f"## {r.method} {r.full_path}" not in page]
    paths = json.loads((REFERENCE / "openapi.json").read_text(encoding="utf-8"))["paths"]
    told = {(path, method): op["x-right"] for path, ops in paths.items() for method, op in ops.items()}
    assert told == {(r.full_path, r.method.lower()): r.right.value for r in ROUTES.values()}


def test_it_is_written_as_asked(tmp_path: Path) -> None:
    write(tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["api.md", "openapi.json"]
