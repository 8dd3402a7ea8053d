"""`yamori undo`: take back what a run did."""

from __future__ import annotations

import typer

from yamori.cli import wording
from yamori.cli.asking import confirm, end_code, tell_end
from yamori.cli.connection import connect
from yamori.cli.exits import ExitCode
from yamori.cli.options import DryRun, Json, RunName, StateDir, Yes
from yamori.cli.progress import steps
from yamori.cli.terminal import clean, emit, say
from yamori.model.errors import Conflict
from yamori.model.run import RunState

EXAMPLE = """Examples:

\b
  yamori undo run-0007
  yamori undo run-0007 --dry-run

JSON: the run; with --dry-run {"would_undo": run}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(undo)


def undo(
    run: RunName, dry_run: DryRun = False, yes: Yes = False, state_dir: StateDir = None, as_json: Json = False
) -> None:
    """Undo a run: its limits, or its move, are put back and read back."""
    with connect(state_dir, timeout_s=900.0) as client:
        found = client.run(run)
        verb = found["proposal"]["action"]["verb"]
        if dry_run:
            if found["state"] != RunState.VERIFIED:
                raise Conflict(f"is {found['state']}: only what is verified can be undone", subject=run)
            if as_json:
                emit({"would_undo": found})
            else:
                say(f"dry run: would undo {clean(verb)} of {clean(found['subject'])}, {_before(found['before'])}")
            return
        if verb == "migrate":
            confirm(f"Move {found['subject']} back?", yes=yes)
        with steps(f"undoing {clean(run)}", quiet=as_json):
            undone = client.undo(run)
    if as_json:
        emit(undone)
    else:
        tell_end(undone)
        say(f"put {_before(undone['before'])}")
    code = end_code(undone, good=RunState.UNDONE)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _before(before: object) -> str:
    found = before.get("found", before) if isinstance(before, dict) else None
    if isinstance(found, dict) and found and all(v is None or isinstance(v, int | float) for v in found.values()):
        return f"back to {wording.limits(found)}"
    return "back to what was before"
