"""Options that several commands share, each said once."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from yamori.cli import completion
from yamori.cli.connection import VARIABLE
from yamori.policy import quantities

JSON_FLAG = "yamori.json"


def _note_json(context: typer.Context, value: bool) -> bool:
    """Remember it, so that an error is told as JSON too."""
    context.find_root().meta[JSON_FLAG] = value
    return value


Json = Annotated[
    bool, typer.Option("--json", help="Print JSON; errors too, on standard error.", callback=_note_json)
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar=VARIABLE,
        show_default=False,
        help="Where the service keeps its state. Left out: /var/lib/yamori for root, else ~/.local/state/yamori.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Rule and check only; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the run has begun.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]

VMName = Annotated[str, typer.Argument(metavar="VM", help="Name or id.", autocompletion=completion.vm_names)]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", autocompletion=completion.run_ids)]


def one_of(words: type[StrEnum], untrusted: str, hint: str) -> str:
    """Check a word against a closed set that is too heavy to load for --help. Raises BadParameter."""
    known = [word.value for word in words]
    if untrusted not in known:
        hits = difflib.get_close_matches(untrusted, known, n=1)
        meant = f" Did you mean {hits[0]!r}?" if hits else ""
        raise typer.BadParameter(f"{untrusted[:60]!r} is not one of {', '.join(known)}.{meant}", param_hint=hint)
    return untrusted


def reader(read: Callable[[str], float], metavar: str) -> dict[str, Any]:
    """Return the options that make typer read a quantity as people write it."""

    def parse(untrusted: str | float) -> float:
        try:
            return read(untrusted) if isinstance(untrusted, str) else float(untrusted)  # a number: our own default
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return {"parser": parse, "metavar": metavar}


SPAN = reader(quantities.seconds, "TIME")
SIZE = reader(quantities.size, "SIZE")
RATE = reader(quantities.rate, "RATE")
COUNT = reader(quantities.count, "NUMBER")
