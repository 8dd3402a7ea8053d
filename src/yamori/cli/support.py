"""`yamori support`: what each hypervisor can do, and if not, why."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer

from yamori.cli.connection import connect
from yamori.cli.exits import exit_code
from yamori.cli.options import Json, StateDir
from yamori.cli.single import differences, hosts_of, picked, products, share
from yamori.cli.terminal import clean, emit, say, show
from yamori.model.errors import Invalid, YamoriError
from yamori.model.support import FEATURES

EXAMPLE = """Examples:

\b
  yamori support
  yamori support --host 'rack1-*' --feature limits
  yamori support --host 'vcenter/*'
  yamori support qemu:///system
  yamori support --config fleet.yaml --json

JSON: {"features": [...], "endpoints": {name: support or null}, "errors": {name: error}}; of what was picked.
"""
GAP = 2
"""Blanks between two columns."""


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
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            help="Only this endpoint, or this host of one (ENDPOINT/HOST); may hold *, and be repeated.",
        ),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature", metavar="WORD", help="Only this row, or all of a word; may hold *, be repeated."
        ),
    ] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons/--no-reasons", help="Say why something is not there.")
    ] = True,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Show the support matrix: of the running service, or probed here and now, read only."""
    if uri is not None and config is not None:
        raise Invalid("a URI and --config exclude each other", mend="give one of them")
    rows = _rows(feature or [])
    errors: dict[str, YamoriError] = {}
    if uri is None and config is None:
        with connect(state_dir) as client:
            found: dict[str, Any] = client.support()["endpoints"]
    else:
        found, errors = _probed(uri, config)
    if host:
        found = picked(found, host)
        errors = {name: error for name, error in errors.items() if name in found}
    if as_json:
        _emit(found, errors, rows)
    elif len(found) == 1:
        ((name, only),) = found.items()
        _show_one(name, only, rows, errors.get(name), reasons=reasons)
    else:
        _show_all(found, rows, errors, reasons=reasons)
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


def _rows(untrusted_words: Sequence[str]) -> tuple[str, ...]:
    """Return the rows that are meant, in the matrix's order. Raises BadParameter for a word that means none."""
    wanted: set[str] = set()
    for word in untrusted_words:
        meant = {row for row in FEATURES if fnmatchcase(row, word) or row.partition(".")[0] == word}
        if not meant:
            hits = difflib.get_close_matches(word, [*FEATURES, *(row.partition(".")[0] for row in FEATURES)], n=1)
            hint = f" Did you mean {hits[0]!r}?" if hits else ""
            raise typer.BadParameter(
                f"no row of the matrix is called {word[:60]!r}.{hint}", param_hint="--feature"
            )
        wanted |= meant
    return tuple(row for row in FEATURES if not wanted or row in wanted)


def _emit(found: Mapping[str, Any], errors: Mapping[str, YamoriError], rows: Sequence[str]) -> None:
    told = {name: {"code": e.code, "message": e.message, "mend": e.mend} for name, e in errors.items()}
    kept = {name: None if one is None else _kept(one, rows) for name, one in found.items()}
    emit({"features": list(rows), "endpoints": kept, "errors": told})


def _kept(support: Any, rows: Sequence[str]) -> Any:
    """Return the same with these rows only."""

    def cells(of: Any) -> dict[str, Any]:
        return {"cells": {row: cell for row, cell in of["cells"].items() if row in rows}}

    hosts = {host: each | cells(each) for host, each in hosts_of(support).items()}
    return support | cells(support) | {"hosts": hosts}


def _show_one(name: str, support: Any, rows: Sequence[str], error: YamoriError | None, *, reasons: bool) -> None:
    """Show one endpoint: each reason beside its row."""
    if support is None:
        say(f"{clean(name)}: {_why(error)}")
        return
    say(f"{clean(name)}: {clean(support['driver'])} on {clean(support['hypervisor'])}{_later(support)}")
    if told := products(support):
        say(f"hosts: {told}")
    why = {row: support["cells"].get(row, {}).get("reason", "") for row in rows}
    if reasons:
        show(["FEATURE", "LEVEL", "REASON"], [[row, _level(support, row), clean(why[row], 400)] for row in rows])
    else:
        show(["FEATURE", "LEVEL"], [[row, _level(support, row)] for row in rows])
    if reasons:
        for what, where in differences(support, rows):
            say(f"{where}: {what}")


def _show_all(
    found: Mapping[str, Any], rows: Sequence[str], errors: Mapping[str, YamoriError], *, reasons: bool
) -> None:
    """Show endpoints side by side, as many as fit; then the reasons, each with all whom it concerns."""
    for number, block in enumerate(_blocks(list(found), max(len(row) for row in rows))):
        if number:
            say()
        kinds = ["(hypervisor)", *(_kind(found[name]) for name in block)]
        levels = [[row, *(_level(found[name], row) for name in block)] for row in rows]
        show(["FEATURE", *(clean(name) for name in block)], [kinds, *levels])
    told: dict[tuple[str, str], list[str]] = {}
    for name, one in found.items():
        if one is None:
            told.setdefault(("", _why(errors.get(name))), []).append(name)
            continue
        for reason, concerned in _reasons(one, rows).items() if reasons else ():
            told.setdefault((", ".join(concerned), reason), []).append(name)
        for what, where in differences(one, rows) if reasons else ():
            told.setdefault(("", what), []).append(where)
        if later := _later(one):
            told.setdefault(("", later.removeprefix("; ")), []).append(name)
    if told:
        say()
    for (concerned_rows, reason), names in told.items():
        said = ", ".join(clean(name, 600) for name in names)
        say(": ".join(part for part in (said, concerned_rows, clean(reason, 800)) if part))


def _blocks(names: Sequence[str], first: int) -> Iterable[Sequence[str]]:
    """Split endpoints so that each part fits beside the rows' names; a file or a pipe takes them all at once."""
    if not sys.stdout.isatty():
        return [names]
    room = shutil.get_terminal_size().columns
    blocks: list[list[str]] = [[]]
    used = first
    for name in names:
        width = GAP + max(len(clean(name)), _KIND_WIDTH)
        if blocks[-1] and used + width > room:
            blocks.append([])
            used = first
        blocks[-1].append(name)
        used += width
    return blocks


_KIND_WIDTH = 20


def _kind(support: Any) -> str:
    return "unknown" if support is None else clean(support["hypervisor"], _KIND_WIDTH - 1)


def _later(support: Any) -> str:
    return "; a part of it could not be asked yet" if support.get("provisional") else ""


def _why(error: YamoriError | None) -> str:
    if error is None:
        return "never reached: all unknown"
    return clean(f"{error.message} ({error.mend})" if error.mend else error.message, 400)


def _level(support: Any, feature: str) -> str:
    """Return the level, and on how many hosts where not on all; what was not probed is unknown, never present."""
    if support is None:
        return "unknown"
    level = str(support["cells"].get(feature, {}).get("level", "unknown"))
    return f"{level} {part}" if (part := share(support, feature)) else level


def _reasons(support: Any, rows: Sequence[str]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for row in rows:
        if reason := support["cells"].get(row, {}).get("reason", ""):
            told.setdefault(reason, []).append(row)
    return told
