"""The commands of `yamori agent` that are typed on a host: install, enrol, run, status, uninstall."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yamori.cli import wording
from yamori.cli.asking import confirm
from yamori.cli.exits import ExitCode
from yamori.cli.options import DryRun, Json, Yes
from yamori.cli.terminal import clean, emit, lines, say

CONFIG = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Left out: /etc/yamori/agent.yaml, where there is one."),
]


def add_to(commands: typer.Typer) -> None:
    """Add the commands to the group."""
    commands.command(epilog=RUN)(run)
    commands.command(epilog=ENROL)(enrol)
    commands.command(epilog=STATUS)(status)
    commands.command(epilog=INSTALL)(install)
    commands.command(epilog=UNINSTALL)(uninstall)


RUN = """Examples:

\b
  yamori agent run
  yamori agent run --config /etc/yamori/agent.yaml

With --json an error is told as JSON; the log is on standard error.
"""
ENROL = """Examples:

\b
  yamori agent enrol --controller controller.example:8471 --token ya1:rack-a:…
  yamori agent enrol --controller controller.example:8471 --token - < token

JSON: {"name", "controller", "expires_at", "path"}.
"""
STATUS = """Example:

\b
  yamori agent status

Ends with code 4 unless the agent is connected.

JSON: {"enrolled", "name", "controller", "expires_at", "running", "pid", "started_at", "connected", "since",
"error", "skew_s"}.
"""
INSTALL = """Examples:

\b
  yamori agent install --dry-run
  yamori agent install
  yamori agent install --no-service

JSON: {"steps": [{"step", "outcome", "text"}], "changed"}; outcome is already, would or did.
"""
UNINSTALL = """Examples:

\b
  yamori agent uninstall --dry-run
  yamori agent uninstall --purge --yes

JSON: as install.
"""


def run(config: CONFIG = None, as_json: Json = False) -> None:
    """On a host: run the agent until SIGTERM. Started by root it becomes yamori-agent, with few rights left.

    `python -m yamori.agent run` is the same and starts faster.
    """
    from yamori.agent import program

    program.run(config)


def enrol(
    controller: Annotated[str, typer.Option("--controller", metavar="HOST:PORT", help="Where the controller is.")],
    token: Annotated[
        str, typer.Option("--token", metavar="TOKEN", help="From yamori agent token; - reads standard input.")
    ],
    config: CONFIG = None,
    as_json: Json = False,
) -> None:
    """On a host: become the agent that a token is for. The token is used up; the agent that runs here connects."""
    import sys

    from yamori.agent import program

    given = sys.stdin.readline() if token == "-" else token  # noqa: S105  a place to read it from, no password
    told = program.enrol(config, controller=controller, token=given)
    if as_json:
        emit(told)
    else:
        say(f"enrolled as {clean(told['name'])}; the certificate is good for {wording.until(told['expires_at'])}")


def status(config: CONFIG = None, as_json: Json = False) -> None:
    """On a host: say whether it is enrolled, and whether the agent runs and is connected."""
    from yamori.agent import program

    told = program.status(config)
    if as_json:
        emit(told)
    else:
        say("\n".join(_words(told)))
    if not told["connected"]:
        raise typer.Exit(ExitCode.UNREACHABLE)


def _words(told: dict[str, Any]) -> list[str]:
    if not told["enrolled"]:
        return ["not enrolled: on the controller, yamori agent token NAME; here, what it prints"]
    words = [
        f"agent {clean(told['name'])} of {clean(told['controller'])}",
        f"certificate good for {wording.until(told['expires_at'])}",
    ]
    if not told["running"]:
        return [*words, "not running"]
    state = "connected" if told["connected"] else "not connected"
    words.append(f"{state} for {wording.ago(told['since'])} (process {clean(told['pid'])})")
    if told["error"]:
        words.append(f"because: {clean(told['error'], 500)}")
    return words


def install(
    service: Annotated[
        bool, typer.Option("--service/--no-service", help="With a systemd unit, or only user, folders and rights.")
    ] = True,
    dry_run: DryRun = False,
    config: CONFIG = None,
    as_json: Json = False,
) -> None:
    """On a host: make the agent's user, its folders, access to what it needs, and a hardened unit. Idempotent."""
    from yamori.agent import program

    _tell(program.install(config, service=service, dry_run=dry_run), as_json=as_json)


def uninstall(
    purge: Annotated[bool, typer.Option("--purge", help="Also the identity, the file and the user.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: CONFIG = None,
    as_json: Json = False,
) -> None:
    """On a host: stop the agent for good, end the limits it holds, and remove what install made."""
    from yamori.agent import program

    confirm("remove the agent from this host?", yes=yes, dry_run=dry_run)
    _tell(program.uninstall(config, purge=purge, dry_run=dry_run), as_json=as_json)


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(told)
        return
    for step in told["steps"]:
        say(f"{step['outcome']}: {clean(step['step'], 500)}")
        if step["outcome"] == "would" and step["text"]:
            say("\n".join(f"    {line}" for line in lines(step["text"]).splitlines()))
    if not told["changed"]:
        say("nothing to do")
