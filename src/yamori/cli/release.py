"""`yamori release`: let go of a VM."""

from __future__ import annotations

import typer

from yamori.cli.asking import settle
from yamori.cli.connection import connect
from yamori.cli.options import DryRun, Json, NoWait, Reason, StateDir, VMName
from yamori.cli.terminal import clean

EXAMPLE = """Examples:

\b
  yamori release batch-7
  yamori release batch-7 --dry-run

JSON: {"decision", "run"}; "run" is null where policy did not allow it.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(release)


def release(
    vm: VMName,
    reason: Reason = "asked for on the command line",
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Give a VM back the limits that it had before our throttle."""
    with connect(state_dir) as client:
        answer = client.release(vm, reason=reason, dry_run=dry_run)
        title = f"releasing {clean(vm)}"
        settle(client, answer, title=title, dry_run=dry_run, wait=not no_wait, as_json=as_json)
