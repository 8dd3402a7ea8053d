"""`yamori kill-switch`: keep all modules from acting, at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from yamori.cli import wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, Reason, StateDir
from yamori.cli.terminal import clean, emit, say

EXAMPLE = """Examples:

\b
  yamori kill-switch
  yamori kill-switch on --reason "maintenance of rack 4"
  yamori kill-switch off

JSON: {"on", "by", "reason", "since"}.
"""


class Position(StrEnum):
    """Where it may be put."""

    ON = "on"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("kill-switch", epilog=EXAMPLE)(kill_switch)


def kill_switch(
    position: Annotated[
        Position | None, typer.Argument(help="on: modules only observe. off: policy rules again. Left out: show.")
    ] = None,
    reason: Reason = "asked for on the command line",
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Keep modules from acting, whatever policy allows; or let them act again. It survives a restart.

    You may still throttle, release, migrate and undo; holds still end in time; runs under way come to their end.
    """
    with connect(state_dir) as client:
        if position is None:
            told = client.kill_switch()
        else:
            told = client.throw_kill_switch(on=position is Position.ON, reason=reason)
    if as_json:
        emit(told)
    else:
        say(words(told))


def words(told: dict[str, Any]) -> str:
    """Say how it stands."""
    state = "ON: modules only observe" if told["on"] else "off: policy rules"
    if told["since"] is None:
        return f"kill switch {state}"
    since = wording.ago(told["since"])
    return f"kill switch {state} (for {since}, by {clean(told['by'])}: {clean(told['reason'])})"
