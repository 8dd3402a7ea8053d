"""`yamori migrate`: move a running VM."""

from __future__ import annotations

from typing import Annotated

import typer

from yamori.cli import completion
from yamori.cli.asking import confirm, settle
from yamori.cli.connection import connect
from yamori.cli.options import SPAN, DryRun, Json, NoWait, Reason, StateDir, VMName, Yes
from yamori.cli.terminal import clean

EXAMPLE = """Examples:

\b
  yamori migrate web-1 --to rack-b
  yamori migrate web-1 --dry-run
  yamori migrate web-1 --to rack-b --yes --timeout 30m

JSON: {"decision", "run"}; "run" is null where policy did not allow it.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(migrate)


def migrate(
    vm: VMName,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST", help="Left out: Yamori chooses.", autocompletion=completion.host_ids),
    ] = None,
    reason: Reason = "asked for on the command line",
    timeout: Annotated[
        float, typer.Option("--timeout", help="How long to watch.", show_default="15m", **SPAN)
    ] = 900.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Move a running VM to another host of the same family, encrypted."""
    with connect(state_dir) as client:
        view = client.vm(vm)
        where = "a host of Yamori's choice" if to is None else to
        confirm(f"Move {view['vm']['name']} from {view['vm']['host']} to {where}?", yes=yes, dry_run=dry_run)
        answer = client.migrate(view["vm"]["id"], to=to, reason=reason, dry_run=dry_run)
        title = f"moving {clean(vm)}"
        settle(client, answer, title=title, dry_run=dry_run, wait=not no_wait, as_json=as_json, timeout_s=timeout)
