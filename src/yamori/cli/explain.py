"""`yamori explain`: why something was done, from what was seen to what was read back."""

from __future__ import annotations

import typer

from yamori.cli.connection import connect
from yamori.cli.options import Json, RunName, StateDir
from yamori.cli.terminal import clean, emit, say

EXAMPLE = """Example:

\b
  yamori explain run-0007

JSON: {"run", "finding", "lines": [...]}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(explain)


def explain(run: RunName, state_dir: StateDir = None, as_json: Json = False) -> None:
    """Tell the reason trail of a run."""
    with connect(state_dir) as client:
        found = client.explain(run)
    if as_json:
        emit(found)
        return
    for number, line in enumerate(found["lines"], start=1):
        say(f"{number:2}. {clean(line, 1000)}")
