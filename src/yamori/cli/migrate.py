"""`yamori migrate`: move a running VM."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from yamori.cli import completion
from yamori.cli.asking import confirm, forecast_of, settle
from yamori.cli.connection import connect
from yamori.cli.options import SPAN, DryRun, Json, NoWait, Reason, StateDir, VMName, Yes
from yamori.cli.terminal import clean

EXAMPLE = """Examples:

\b
  yamori migrate web-1 --to rack-b
  yamori migrate web-1 --dry-run
  yamori migrate web-1 --to rack-b --yes --timeout 30m
  yamori migrate legacy-erp --to rack-b --stopping

Some VMs cannot move live: they stand still while they are sent. --dry-run, and the question before a move, say so
and for how long; without --stopping such a VM is not moved.

JSON: {"decision", "run"}; "run" is null where policy did not allow it; "run.before.forecast" is the forecast.
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
    stopping: Annotated[
        bool, typer.Option("--stopping", help="Let it stand still meanwhile if it cannot move live.")
    ] = False,
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
        found = view["vm"]
        wish: dict[str, Any] = {"to": to, "stopping": stopping, "reason": reason}

        def question() -> str:
            """Try first: whoever is asked shall know where it would go, and whether it stands still."""
            tried = client.migrate(found["id"], **wish, dry_run=True)
            wish["to"] = tried["decision"]["action"]["to"]
            forecast = forecast_of(tried["run"])
            where = "a host of Yamori's choice" if wish["to"] is None else wish["to"]
            asked = f"Move {found['name']} from {found['host']} to {where}?"
            return asked if forecast is None else f"Forecast: {forecast}. {asked}"

        confirm(question, yes=yes, dry_run=dry_run)
        answer = client.migrate(found["id"], **wish, dry_run=dry_run)
        title = f"moving {clean(vm)}"
        settle(client, answer, title=title, dry_run=dry_run, wait=not no_wait, as_json=as_json, timeout_s=timeout)
