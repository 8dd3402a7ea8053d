"""`yamori support`: what each hypervisor can do, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from yamori.cli.connection import connect
from yamori.cli.exits import exit_code
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, emit, say, show
from yamori.model.errors import Invalid, YamoriError
from yamori.model.support import FEATURES

EXAMPLE = """Examples:

\b
  yamori support
  yamori support qemu:///system
  yamori support --config fleet.yaml --json

JSON: {"features": [...], "endpoints": {name: support or null}, "errors": {name: error}}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(support)


def support(
    uri: Annotated[
        str | None, typer.Argument(metavar="URI", help="A libvirt connection to probe directly.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Probe these endpoints directly.")
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Show the support matrix: of the running service, or probed here and now, read only."""
    if uri is not None and config is not None:
        raise Invalid("a URI and --config exclude each other", mend="give one of them")
    if uri is None and config is None:
        with connect(state_dir) as client:
            found: dict[str, Any] = client.support()["endpoints"]
        _tell(found, {}, as_json=as_json)
        return
    found, errors = _probed(uri, config)
    _tell(found, errors, as_json=as_json)
    if errors:
        raise typer.Exit(max(exit_code(error) for error in errors.values()))


def _probed(uri: str | None, config: Path | None) -> tuple[dict[str, Any], dict[str, YamoriError]]:
    import asyncio

    from yamori.model.plain import to_plain
    from yamori.wiring import probe_file, probe_uri

    answers = asyncio.run(probe_uri(uri or "") if config is None else probe_file(config))
    errors: dict[str, YamoriError] = {}
    found: dict[str, Any] = {}
    for name, answer in answers.items():
        if isinstance(answer, YamoriError):
            errors[name], found[name] = answer, None
        else:
            found[name] = to_plain(answer)
    return found, errors


def _tell(found: Mapping[str, Any], errors: Mapping[str, YamoriError], *, as_json: bool) -> None:
    if as_json:
        told = {name: {"code": e.code, "message": e.message, "mend": e.mend} for name, e in errors.items()}
        emit({"features": list(FEATURES), "endpoints": found, "errors": told})
        return
    names = list(found)
    rows = [[feature, *(_level(found[name], feature) for name in names)] for feature in FEATURES]
    show(["FEATURE", *(clean(name) for name in names)], rows)
    for name in names:
        for reason, features in _reasons(found[name]).items():
            say(f"{clean(name)}: {', '.join(features)}: {clean(reason, 400)}")
        if found[name] is None:
            say(f"{clean(name)}: {_why(errors.get(name))}")


def _why(error: YamoriError | None) -> str:
    if error is None:
        return "never reached: all unknown"
    return clean(f"{error.message} ({error.mend})" if error.mend else error.message, 400)


def _level(support: Any, feature: str) -> str:
    """Return the level; what was not probed is unknown, never shown as present."""
    return "unknown" if support is None else str(support["cells"].get(feature, {}).get("level", "unknown"))


def _reasons(support: Any) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for feature, cell in ({} if support is None else support["cells"]).items():
        if cell["reason"]:
            told.setdefault(cell["reason"], []).append(clean(feature))
    return told
