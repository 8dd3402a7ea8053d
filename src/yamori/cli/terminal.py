"""What reaches the screen: clean text, tables, JSON, one-line errors. Colours only where a terminal wants them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from yamori.model.errors import YamoriError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

UNKNOWN = "unknown"
_WIDE = 400
_STYLES = {
    "kept": "green",
    "broken": "bold red",
    "unknown": "yellow",
    "up": "green",
    "down": "bold red",
    "connecting": "yellow",
    "verified": "green",
    "undone": "green",
    "refused": "yellow",
    "failed": "bold red",
    "abandoned": "bold red",
    "allow": "green",
    "deny": "red",
    "ask": "yellow",
    "observe_only": "cyan",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "native": "green",
    "agent": "cyan",
    "none": "dim",
}


def clean(untrusted: object, limit: int = 200) -> str:
    """Make a text fit to print: bounded, and without characters that a terminal would obey or that hide others."""
    text = str(untrusted)
    cut = text[:limit]
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)
    return shown if len(text) <= limit else shown + "…"


def lines(untrusted: str, limit: int = 400) -> str:
    """Make a text of several lines fit to print."""
    return "\n".join(clean(line, limit) for line in untrusted.splitlines())


def console(stream: TextIO | None = None) -> Console:
    """Return a console for now: it honours NO_COLOR, and is wide and plain where no terminal reads it."""
    from rich.console import Console

    out = sys.stdout if stream is None else stream
    tty = out.isatty()
    plain = not tty or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Console(
        file=out,
        markup=False,
        emoji=False,
        highlight=False,
        no_color=plain,
        color_system=None if plain else "auto",
        width=None if tty else _WIDE,
    )


def cell(untrusted: object, style: str = "") -> Text:
    """Return one cell of a table; a known word gets its colour."""
    from rich.text import Text

    text = UNKNOWN if untrusted is None else clean(untrusted)
    return Text(text, style=style or _STYLES.get(text, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """Return a table. ``right`` names the columns of numbers. None is shown as unknown."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name in right or name == "ID")
    for row in rows:
        made.add_row(*(cell(value) for value in row))
    return made


def show(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table, or a word that there is nothing."""
    told = [["unknown" if value is None else clean(value) for value in row] for row in rows]
    if not told:
        say("nothing")
    elif sys.stdout.isatty():
        console().print(table(columns, told, right=right))
    else:
        say("\n".join(aligned([list(columns), *told], right=[name in right for name in columns])))


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[bool]) -> list[str]:
    """Lay out rows in columns for a file or a pipe: no colour, no trailing blanks, nothing cut off."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(right))]
    return [
        "  ".join(
            text.rjust(w) if r else text.ljust(w) for text, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def say(text: str = "") -> None:
    """Print text as it is; it must be clean already."""
    print(text)


def tell(text: str) -> None:
    """Print a word about the work to standard error, so that output can be piped."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print JSON. Everything beyond ASCII is escaped, so nothing in it can move a cursor."""
    print(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False, default=str))


def emit_line(value: Any) -> None:
    """Print one JSON value on one line, at once: for streams."""
    print(json.dumps(value, ensure_ascii=True, allow_nan=False, default=str), flush=True)


def complain(error: YamoriError, *, as_json: bool) -> None:
    """Print an error to standard error: one line an error, or in the shape that the API answers with."""
    if as_json:
        words = {"code": error.code, "message": error.message, "subject": error.subject, "mend": error.mend}
        print(json.dumps({"error": words}, ensure_ascii=True), file=sys.stderr)
        return
    for number, line in enumerate(str(error).splitlines() or [error.code]):
        print(f"{'error: ' if number == 0 else '       '}{clean(line, 1000)}", file=sys.stderr)
