"""`yamori runs`: what was carried out, step by step."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from yamori.cli import completion, wording
from yamori.cli.asking import tell_end
from yamori.cli.connection import connect
from yamori.cli.options import Json, Limit, StateDir
from yamori.cli.terminal import clean, emit, say, show
from yamori.model.errors import NotFound

EXAMPLE = """Examples:

\b
  yamori runs
  yamori runs run-0007

JSON: a list of runs, or one with its "entries", as GET /api/v1/runs gives them.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(runs)


def names_of(client: Any, ids: list[str]) -> dict[str, str]:
    """Return the name of each VM; of one that is gone, its id."""
    names: dict[str, str] = {}
    for each in ids:
        if each not in names:
            try:
                names[each] = client.vm(each)["vm"]["name"]
            except NotFound:
                names[each] = each
    return names


def runs(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Show one with its journal.", autocompletion=completion.run_ids),
    ] = None,
    limit: Limit = 30,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first, or show one with its journal."""
    with connect(state_dir) as client:
        found = client.runs(limit=limit) if run is None else client.run(run)
        names = names_of(client, [r["subject"] for r in found]) if isinstance(found, list) and not as_json else {}
    if as_json:
        emit(found)
    elif isinstance(found, list):
        show(
            ("ID", "BEGUN", "STATE", "VERB", "VM", "ASKED BY", "RULE", "WHY"),
            [
                (
                    r["id"],
                    f"{wording.ago(r['created_at'])} ago",
                    r["state"],
                    r["proposal"]["action"]["verb"],
                    names[r["subject"]],
                    r["proposal"]["by"],
                    r["decision"]["rule"],
                    r["error"] or r["proposal"]["reason"],
                )
                for r in found
            ],
            right=("BEGUN",),
        )
    else:
        tell_end(found)
        say(f"asked by {clean(found['proposal']['by'])}: {clean(found['proposal']['reason'], 500)}")
        say(f"ruled by {clean(found['decision']['rule'])}: {clean(found['decision']['reason'], 500)}")
        say()
        show(
            ("NO", "AT", "STATE", "STEP", "NOTE"),
            [
                (
                    e["number"],
                    wording.clock(e["at"]),
                    e["state"],
                    e["step"],
                    json.dumps(e["note"]) if e["note"] else "-",
                )
                for e in found["entries"]
            ],
            right=("NO",),
        )
