"""`yamori policy`: check a policy, try it on what was recorded, show it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yamori.cli import wording
from yamori.cli.connection import connect, default_state_dir
from yamori.cli.exits import ExitCode
from yamori.cli.files import named, read
from yamori.cli.options import Json, StateDir
from yamori.cli.progress import counted
from yamori.cli.terminal import clean, emit, lines, say, show

if TYPE_CHECKING:
    from yamori.control.replay import Replay
    from yamori.policy.check import Known

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="The policy; - reads standard input.")]
commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check, try and show policies.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="policy")


class Format(StrEnum):
    """Which file a schema describes."""

    POLICY = "policy"
    FLEET = "fleet"


@commands.command(
    epilog="""Examples:

\b
  yamori policy check policy.yaml
  yamori policy check policy.yaml --live --strict

JSON: {"valid", "rules", "enforcing": [...], "warnings": [...]}.
"""
)
def check(
    file: FILE,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the running service which labels, hosts and modules there are.")
    ] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a policy and what is probably not meant, with file, line and column."""
    from yamori.policy.check import warnings
    from yamori.policy.reading import read_with_places

    document, policy = read_with_places(read(file), named(file))
    told = warnings(document, policy, _known(state_dir) if live else None)
    enforcing = [rule.id for rule in policy.rules if rule.mode == "enforce"]
    if as_json:
        emit({"valid": True, "rules": len(policy.rules), "enforcing": enforcing, "warnings": told})
    else:
        for line in told:
            say(f"warning: {clean(line, 1000)}")
        modes = f"{len(policy.rules)} rules, {len(enforcing)} enforcing" if policy.rules else "no rules"
        say(f"{clean(named(file))}: {modes}, {len(told)} warnings")
    if told and strict:
        raise typer.Exit(ExitCode.FAILED)


@commands.command(
    epilog="""Examples:

\b
  yamori policy replay policy.yaml
  yamori policy replay policy.yaml --record /var/lib/yamori/recordings --config fleet.yaml

JSON: {"ticks", "first", "last", "findings", "rulings", "failed"}.
"""
)
def replay(
    file: FILE,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="DIR", show_default=False, help="Left out: the state directory's."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Take modules and their settings from here."),
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Play recorded readings through the modules and a policy: what it would have ruled. Nothing is done."""
    import asyncio

    from yamori.model.plain import to_plain
    from yamori.store.opening import RECORDINGS
    from yamori.wiring import replay_policy

    where = record or (state_dir or default_state_dir()) / RECORDINGS
    with counted("ticks played:", quiet=as_json) as progress:
        outcome = asyncio.run(replay_policy(where, file, config=config, progress=progress))
    if as_json:
        emit(to_plain(outcome))
    else:
        _tell(outcome)


@commands.command(
    epilog="""Examples:

\b
  yamori policy schema > policy.schema.json
  yamori policy schema --of fleet
"""
)
def schema(
    of: Annotated[Format, typer.Option("--of", help="Which file.")] = Format.POLICY,
) -> None:
    """Print the JSON Schema of a policy, or of the fleet's configuration."""
    emit(schema_for(of))


def schema_for(of: Format) -> dict[str, Any]:
    """Return the schema of a file that operators write."""
    from yamori.policy.schema import policy_schema, schema_of

    if of is Format.POLICY:
        return policy_schema()
    from yamori.control.settings import FleetSettings

    return schema_of(FleetSettings, "Yamori fleet")


@commands.command(
    name="show",
    epilog="""Examples:

\b
  yamori policy show
  yamori policy show --default

JSON: {"text"}.
""",
)
def show_policy(
    default: Annotated[bool, typer.Option("--default", help="The built-in policy.")] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Print the policy in force, or the built-in one."""
    from yamori.policy.reading import default_text

    if default:
        text = default_text()
    else:
        with connect(state_dir) as client:
            text = client.policy()
    if as_json:
        emit({"text": text})
    else:
        say(lines(text).rstrip())


def _known(state_dir: Path | None) -> Known:
    from yamori.policy.check import Known

    with connect(state_dir) as client:
        labels = {name for vm in client.each_vm() for name in vm["vm"]["labels"]}
        hosts = {host["id"] for endpoint in client.endpoints() for host in endpoint["hosts"]}
    return Known(labels=sorted(labels), hosts=sorted(hosts), modules=_modules())


def _modules() -> list[str]:
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group="yamori.modules")})


def _tell(outcome: Replay) -> None:
    if outcome.first is None or outcome.last is None:
        say("the record holds no readings")
        return
    seconds = (outcome.last - outcome.first).total_seconds()
    say(f"{outcome.ticks} readings over {wording.span(seconds)}, from {wording.clock(outcome.first.isoformat())}")
    say(f"{len(outcome.findings)} findings, {len(outcome.rulings)} rulings that differ")
    for failure in outcome.failed:
        say(f"not judged: {clean(failure)}")
    if outcome.rulings:
        say()
        show(
            ("FIRST AT", "VM", "VERB", "VERDICT", "RULE", "TIMES", "WHY"),
            [
                (
                    wording.clock(r.at.isoformat()),
                    r.vm_name,
                    r.proposal.action.verb,
                    r.decision.verdict.value,
                    r.decision.rule,
                    r.times,
                    r.decision.reason,
                )
                for r in sorted(outcome.rulings, key=lambda r: r.at)
            ],
            right=("TIMES",),
        )
