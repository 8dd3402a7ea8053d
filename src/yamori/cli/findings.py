"""`yamori findings`: what was judged, on what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from yamori.cli import completion, wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, Limit, StateDir
from yamori.cli.terminal import clean, emit, say, show

EXAMPLE = """Examples:

\b
  yamori findings --open
  yamori findings finding-0004

JSON: a list of findings, or one, as GET /api/v1/findings gives them.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(findings)


def findings(
    finding: Annotated[
        str | None,
        typer.Argument(metavar="FINDING", help="Show one with evidence.", autocompletion=completion.finding_ids),
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those whose reason is not gone.")] = False,
    limit: Limit = 50,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """List findings, newest first, or show one of them."""
    with connect(state_dir) as client:
        if finding is not None:
            found = client.finding(finding)
            if as_json:
                emit(found)
            else:
                tell_finding(found)
            return
        listed = client.findings(open_only=open_only, limit=limit)
    if as_json:
        emit(listed)
        return
    show(
        ("ID", "OPENED", "STATE", "SEVERITY", "SURE", "LOOKS LIKE", "HOST", "WHAT"),
        [
            (
                f["id"],
                f"{wording.ago(f['opened_at'])} ago",
                "open" if f["closed_at"] is None else "closed",
                f["severity"],
                wording.percent(f["confidence"]),
                f["nature"],
                f["host"],
                f["summary"],
            )
            for f in listed
        ],
        right=("OPENED", "SURE"),
    )


def tell_finding(found: Mapping[str, Any]) -> None:
    """Tell one finding with all that it rests on."""
    closed = "open" if found["closed_at"] is None else f"closed {wording.clock(found['closed_at'])}"
    say(f"{clean(found['id'])}: {clean(found['summary'], 500)}")
    sure = wording.percent(found["confidence"])
    say(f"{clean(found['severity'])}, {sure} sure, looks like {clean(found['nature'])}")
    say(f"by {clean(found['module'])}, opened {wording.clock(found['opened_at'])}, {closed}")
    if found["techniques"]:
        say(f"ATT&CK: {clean(', '.join(found['techniques']))}")
    coverage = found["coverage"]
    say(f"examined: {coverage['examined']} of {coverage['of']}")
    for missing in coverage["missing"]:
        say(f"  not examined: {clean(missing)}")
    say()
    show(
        ("EVIDENCE", "OF", "VALUE", "USUALLY", "UNIT"),
        [
            (
                e["what"],
                e["subject"],
                wording.number(e["value"]),
                wording.number(e["usual"]),
                e["unit"] or wording.NONE,
            )
            for e in found["evidence"]
        ],
        right=("VALUE", "USUALLY"),
    )
