"""Write docs/reference/*.md from the code.

`make docs` writes them; a test runs the same with --check, which fails when a page has fallen behind.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.reference.commands import commands_page
from scripts.reference.pages import capabilities_page, errors_page, metrics_page
from scripts.reference.quality import quality_page
from scripts.reference.settings import fleet_page
from yamori.cli.policy import Format, schema_for
from yamori.modules.firewall.schema import groups_schema
from yamori.testing.matrix.page import render
from yamori.testing.matrix.record import everything
from yamori.web.reference import texts as interface_texts

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code. Do not edit by hand. -->\n"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands_page,
    "errors.md": errors_page,
    "capabilities.md": capabilities_page,
    "metrics.md": metrics_page,
    "fleet.md": fleet_page,
    "quality.md": quality_page,
}


def files() -> dict[str, str]:
    """Every file that is written from the code, by name."""
    schemas = {
        f"{of.value}.schema.json": json.dumps(schema_for(of), indent=2, ensure_ascii=False) + "\n" for of in Format
    }
    schemas["firewall.schema.json"] = json.dumps(groups_schema(), indent=2, ensure_ascii=False) + "\n"
    pages = {name: NOTE + write() for name, write in PAGES.items()}
    matrix = {"../support-matrix.md": render(everything(sorted((ROOT / "results").glob("*.json"))))}
    return pages | interface_texts() | schemas | matrix


def main() -> int:
    """Write the pages, or with --check only say which have fallen behind."""
    parser = argparse.ArgumentParser(prog="python -m scripts.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page has fallen behind")
    check = parser.parse_args().check
    stale = 0
    for name, text in files().items():
        path = FOLDER / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale += 1
            print(f"docs/reference/{name} has fallen behind: make docs", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
