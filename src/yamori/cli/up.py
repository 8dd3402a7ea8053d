"""`yamori up`: run the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from yamori.cli.connection import default_state_dir
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, emit_line, say, tell

if TYPE_CHECKING:
    from yamori.wiring import ServeOptions, Service

EXAMPLE = """Examples:

\b
  yamori up --config fleet.yaml
  yamori up --config fleet.yaml --policy policy.yaml --listen 127.0.0.1:8470
  yamori up --config fleet.yaml --policy policy.yaml --check

With --json one object once it serves: {"url", "state_dir", "warnings"}.
"""
CONFIG = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The fleet: endpoints and modules.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(up)


def up(
    config: CONFIG,
    policy: Annotated[
        Path | None, typer.Option("--policy", "-p", metavar="FILE", help="Left out: everything is only observed.")
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve.")
    ] = "127.0.0.1:8470",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Serve beyond this machine; use it with --tls-certificate.")
    ] = False,
    host_name: Annotated[
        list[str] | None, typer.Option("--host-name", metavar="NAME", help="A further name that clients may use.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", metavar="FILE", help="PEM, with its chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="PEM.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read the files, say what is wrong, start nothing.")
    ] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Run the service: keep the fleet in view, judge, and act where the policy says so. Ends with Ctrl-C."""
    from yamori.wiring import ServeOptions

    if (tls_certificate is None) != (tls_key is None):
        raise typer.BadParameter("--tls-certificate and --tls-key go together")
    options = ServeOptions(
        config=config,
        policy=policy,
        listen=listen,
        state_dir=state_dir or default_state_dir(),
        allow_remote=allow_remote,
        hosts=host_name or (),
        certificate=tls_certificate,
        key=tls_key,
    )
    if check:
        _check(options, as_json=as_json)
    else:
        _serve(options, as_json=as_json)


def _check(options: ServeOptions, *, as_json: bool) -> None:
    from yamori.cli.files import read
    from yamori.control.configuration import configure
    from yamori.policy.reading import read_policy

    found = configure(read(options.config), str(options.config))
    if options.policy is not None:
        read_policy(read(options.policy), str(options.policy))
    if as_json:
        emit_line({"endpoints": [str(e.name) for e in found.endpoints], "valid": True})
    else:
        say(f"{clean(options.config)}: {len(found.endpoints)} endpoints, all right")


def _serve(options: ServeOptions, *, as_json: bool) -> None:
    import asyncio

    from yamori.cli.interrupt import stop_on_signals
    from yamori.cli.welcome import welcome
    from yamori.wiring import serve

    def ready(service: Service) -> None:
        if as_json:
            emit_line(
                {"url": service.url, "state_dir": str(options.state_dir), "warnings": list(service.warnings)}
            )
            return
        for warning in service.warnings:
            tell(f"warning: {clean(warning, 500)}")
        welcome(service)

    async def run() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            await serve(options, ready=ready, stop=stop)

    asyncio.run(run())
