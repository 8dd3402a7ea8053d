"""The command `yamori`. Every command is a file of its own; nothing heavy is loaded before it is needed."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from yamori import __version__
from yamori.cli import (
    agent,
    bench,
    demo,
    explain,
    findings,
    firewall,
    fleet,
    kill_switch,
    lab,
    ledger,
    migrate,
    policy,
    release,
    runs,
    status,
    support,
    throttle,
    top,
    undo,
    up,
    watch,
)
from yamori.cli.exits import ExitCode, exit_code
from yamori.cli.options import JSON_FLAG
from yamori.cli.terminal import complain
from yamori.model.errors import Defect, Failed, YamoriError


class Commands(TyperGroup):
    """Turns the model's errors into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Defect:
            raise  # ours: crash loudly
        except YamoriError as error:
            complain(error, as_json=bool(ctx.meta.get(JSON_FLAG)))
            raise typer.Exit(exit_code(error)) from None
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("yamori"):
                raise
            missing = Failed(f"the Python package {error.name!r} is not installed", mend=_extra(error.name))
            complain(missing, as_json=bool(ctx.meta.get(JSON_FLAG)))
            raise typer.Exit(ExitCode.FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None


def _extra(package: str) -> str:
    extra = {"libvirt": "libvirt", "river": "bench"}.get(package)
    return f"pip install 'yamori[{extra}]'" if extra else f"pip install {package}"


app = typer.Typer(
    name="yamori",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Guard a fleet of virtual machines, whatever hypervisor they run on.",
    epilog="Begin with: yamori demo --simulated",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"yamori {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Guard a fleet of virtual machines, whatever hypervisor they run on."""


for _module in (up, status, fleet, top, findings, runs, explain, watch, throttle, release, migrate, undo, support):
    _module.register(app)
for _module in (kill_switch, policy, firewall, ledger, agent, lab, demo, bench):
    _module.register(app)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter must not stop us
    try:
        app(prog_name="yamori")
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        sys.exit(ExitCode.OK)
