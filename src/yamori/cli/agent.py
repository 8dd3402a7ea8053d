"""`yamori agent`: agents on hosts. Here the controller's side; `agent_host` has the commands for a host."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from yamori.cli import agent_host, wording
from yamori.cli.asking import confirm
from yamori.cli.connection import connect
from yamori.cli.options import Json, Reason, StateDir, Yes
from yamori.cli.terminal import clean, emit, say, show, tell

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Agents on hosts, for what a hypervisor itself lacks."
)
NAME = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name: that of its endpoint.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="agent")


@commands.command(
    epilog="""Example:

\b
  yamori agent token rack-a

JSON: {"name", "token", "controller", "command", "expires_at"}.
"""
)
def token(name: NAME, state_dir: StateDir = None, as_json: Json = False) -> None:
    """On the controller: make a one-time token, and print the command to type on the host.

    A token that was made before for the same name, and not used, is void from then on.
    """
    with connect(state_dir) as client:
        made = client.invite_agent(name)
    if as_json:
        emit(made)
        return
    tell(f"on the host of {clean(made['name'])}, as root, within {wording.until(made['expires_at'])}:")
    say(clean(made["command"], 1000))


@commands.command(
    "list",
    epilog="""Example:

\b
  yamori agent list

JSON: a list of {"name", "state", "connected", "since", "error", "address", "software", "skew_s",
"enrolled_at", "expires_at", "token_expires_at"}.
""",
)
def list_agents(state_dir: StateDir = None, as_json: Json = False) -> None:
    """On the controller: list the agents, how they stand, and whether they are connected."""
    with connect(state_dir) as client:
        found = client.agents()
    if as_json:
        emit(found)
        return
    show(("NAME", "STATE", "CONNECTED", "FOR", "ADDRESS", "VERSION", "CERTIFICATE", "WHY"), map(_row, found))


def _row(agent: dict[str, Any]) -> tuple[str, ...]:
    none = wording.NONE
    ends = none if agent["expires_at"] is None else f"{wording.until(agent['expires_at'])} left"
    if agent["state"] == "invited" and agent["token_expires_at"] is not None:
        ends = f"token: {wording.until(agent['token_expires_at'])} left"
    return (
        agent["name"],
        agent["state"],
        "yes" if agent["connected"] else "no",
        none if agent["since"] is None else wording.ago(agent["since"]),
        agent["address"] or none,
        agent["software"] or none,
        ends,
        agent["error"] or none,
    )


@commands.command(
    epilog="""Example:

\b
  yamori agent revoke rack-a --reason "disk stolen" --yes

JSON: how the agent stands, as in `yamori agent list`.
"""
)
def revoke(
    name: NAME,
    reason: Reason = "asked for on the command line",
    yes: Yes = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """On the controller: strike an agent off. Its connection ends at once; to come back it must enrol anew.

    Limits that it holds end on its host at their time.
    """
    confirm(f"revoke the agent {name}?", yes=yes)
    with connect(state_dir) as client:
        found = client.revoke_agent(name, reason=reason)
    if as_json:
        emit(found)
    else:
        say(f"{clean(found['name'])} is revoked")


agent_host.add_to(commands)
