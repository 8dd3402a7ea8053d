"""`yamori ledger`: verify, read and export what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from yamori.cli import wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, emit, emit_line, say, show

PAGE = 500
commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Verify, read and export the ledger.")
AFTER = Annotated[int, typer.Option("--after", min=0, help="Begin after this record's number.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="ledger")


@commands.command(
    epilog="""Example:

\b
  yamori ledger verify

JSON: {"records", "holds"}.
"""
)
def verify(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Check the whole chain. A change, a gap or another order ends with code 5."""
    with connect(state_dir, timeout_s=600.0) as client:
        records = client.verify_ledger()
    if as_json:
        emit({"records": records, "holds": True})
    else:
        say(f"the chain holds: {records} records")


@commands.command(
    name="show",
    epilog="""Examples:

\b
  yamori ledger show
  yamori ledger show --after 1200 --limit 20

JSON: a list of records: {"number", "at", "kind", "body", "previous", "hash"}.
""",
)
def show_records(
    after: AFTER = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many records.")] = 50,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Print records, oldest first."""
    with connect(state_dir) as client:
        found = list(_records(client, after, limit))
    if as_json:
        emit(found)
        return
    show(
        ("NO", "AT", "KIND", "WHAT", "HASH"),
        [
            (
                r["number"],
                wording.clock(r["at"]),
                r["kind"],
                _body(r.get("body", r.get("subject"))),
                str(r["hash"])[:12],
            )
            for r in found
        ],
        right=("NO",),
    )


@commands.command(
    epilog="""Examples:

\b
  yamori ledger export > ledger.jsonl
  yamori ledger export --ocsf --after 1200 > events.jsonl
"""
)
def export(
    ocsf: Annotated[
        bool, typer.Option("--ocsf", help="As events of the Open Cybersecurity Schema Framework.")
    ] = False,
    after: AFTER = 0,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Left out: all.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Write records as JSON, one a line, oldest first."""
    with connect(state_dir) as client:
        for record in _records(client, after, limit):
            emit_line(_event(record) if ocsf else record)


def _event(record: dict[str, Any]) -> Any:
    from yamori.model.plain import from_plain
    from yamori.trust.ledger import Record
    from yamori.trust.ocsf import to_ocsf

    return to_ocsf(from_plain(Record, record, where=f"record {record.get('number')}"))


def _records(client: Any, after: int, limit: int | None) -> Iterator[dict[str, Any]]:
    left = limit
    while left is None or left > 0:
        page = client.ledger(after=after, limit=PAGE if left is None else min(PAGE, left))
        yield from page
        if not page:
            return
        after = page[-1]["number"]
        left = None if left is None else left - len(page)


def _body(body: object) -> str:
    return clean(body if isinstance(body, str) else json.dumps(body, ensure_ascii=True), 120)
