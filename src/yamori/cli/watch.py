"""`yamori watch`: events as they happen."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from yamori.cli import wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, StateDir, one_of
from yamori.cli.terminal import clean, emit_line, say

EXAMPLE = """Examples:

\b
  yamori watch
  yamori watch --kind finding_raised --kind decided
  yamori watch --json | jq -c 'select(.kind == "run")'

JSON: one event a line: {"id", "number", "kind", "at", "subject", "body"}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(watch)


def watch(
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only this kind; may be repeated.")] = None,
    after: Annotated[str | None, typer.Option("--after", help="Begin after the event of this id.")] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many events.")] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Tell events as they happen, without the ticks unless asked. With --json, one object a line."""
    from yamori.control.facade import EventKind

    wanted = {one_of(EventKind, k, "--kind") for k in kind or ()} or {k.value for k in EventKind if k != "tick"}
    told = 0
    with connect(state_dir) as client:
        for event in client.events(after=after):
            if event["kind"] not in wanted:
                continue
            if as_json:
                emit_line(event)
            else:
                say(_line(event))
            told += 1
            if count is not None and told >= count:
                return


def _line(event: dict[str, Any]) -> str:
    body = clean(json.dumps(event["body"], ensure_ascii=True), 300)
    return f"{wording.clock(event['at'])}  {clean(event['kind']):16}  {clean(event['subject'])}  {body}"
