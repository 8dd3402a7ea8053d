"""`yamori top`: who uses what now, sorted, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yamori.cli import completion, wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, StateDir
from yamori.cli.terminal import clean, console, emit, show, table

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLE = """Examples:

\b
  yamori top
  yamori top --sort delay --limit 10
  yamori top --once --sort disk

JSON: the list of yamori fleet, sorted.
"""


class Sort(StrEnum):
    """By what to sort, largest first; name sorts from A."""

    CPU = "cpu"
    DELAY = "delay"
    MEMORY = "memory"
    DISK = "disk"
    LATENCY = "latency"
    NET = "net"
    NAME = "name"


_RATES = {
    Sort.CPU: ("cpu_cores",),
    Sort.DELAY: ("cpu_delay",),
    Sort.MEMORY: ("memory_resident_bytes",),
    Sort.DISK: ("disk_bytes_s",),
    Sort.LATENCY: ("disk_latency_s",),
    Sort.NET: ("net_rx_bytes_s", "net_tx_bytes_s"),
}
_COLUMNS = (
    "NAME",
    "HOST",
    "SLA",
    "CPU",
    "DELAY",
    "RESIDENT",
    "IO/S",
    "DISK",
    "LATENCY",
    "NET IN",
    "NET OUT",
    "SERVED",
)

_EXPENDABLE = ("NET IN", "NET OUT", "IO/S", "RESIDENT", "SLA", "DISK", "LATENCY", "HOST")
"""Columns that a narrow screen goes without, in this order."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(top)


def top(
    sort: Annotated[Sort, typer.Option("--sort", "-s", help="By what, largest first.")] = Sort.CPU,
    once: Annotated[
        bool, typer.Option("--once", help="Print one table and end; so it is without a terminal.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, max=3600, help="Seconds between looks.")
    ] = 1.0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many VMs.")] = 30,
    host: Annotated[
        str | None, typer.Option("--host", autocompletion=completion.host_ids, help="On this host.")
    ] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Show what the VMs use now and how they are served. Ctrl-C ends it."""
    with connect(state_dir) as client:

        def look() -> list[dict[str, Any]]:
            return ranked(client.vms(host=host), sort)[:limit]

        if as_json:
            emit(look())
        elif once or not sys.stdout.isatty():
            show(_COLUMNS, [_row(v) for v in look()], right=_COLUMNS[3:11])
        else:
            _live(look, interval)


def ranked(views: list[dict[str, Any]], sort: Sort) -> list[dict[str, Any]]:
    """Sort VMs. Those whose value is unknown come last, never in between."""
    by_name = sorted(views, key=lambda v: (v["vm"]["name"], v["vm"]["id"]))
    if sort is Sort.NAME:
        return by_name

    def value(view: Mapping[str, Any]) -> tuple[bool, float]:
        found = [view["rates"].get(name) for name in _RATES[sort]]
        known = [v for v in found if v is not None]
        return (not known, -sum(known))

    return sorted(by_name, key=value)


def drawn(views: list[dict[str, Any]], *, width: int, height: int) -> Table:
    """Return the table for a screen: what does not fit is left out whole, the least important columns first."""
    rows = [[str(value) for value in _row(v)] for v in views[: max(1, height - 2)]]
    rows = [[_cut(row[0], 28), _cut(row[1], 16), *row[2:]] for row in rows]
    names = list(_COLUMNS)
    for expendable in _EXPENDABLE:
        if _width([names, *rows]) <= width:
            break
        at = names.index(expendable)
        names.pop(at)
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
    return table(names, rows, right=_COLUMNS[3:11])


def _width(rows: list[list[str]]) -> int:
    return sum(max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0])))


def _cut(text: str, most: int) -> str:
    shown = clean(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _row(view: Mapping[str, Any]) -> tuple[object, ...]:
    vm, rates = view["vm"], view["rates"]
    return (
        vm["name"],
        vm["host"],
        vm["labels"].get("sla", wording.NONE),
        wording.cores(rates.get("cpu_cores")),
        wording.percent(rates.get("cpu_delay")),
        wording.size(rates.get("memory_resident_bytes")),
        wording.number(rates.get("disk_iops")),
        wording.rate(rates.get("disk_bytes_s")),
        wording.span(rates.get("disk_latency_s")),
        wording.rate(rates.get("net_rx_bytes_s")),
        wording.rate(rates.get("net_tx_bytes_s")),
        view["standing"],
    )


def _live(look: Callable[[], list[dict[str, Any]]], interval: float) -> None:
    from rich.live import Live

    screen = console()

    def draw() -> Table:
        return drawn(look(), width=screen.width, height=screen.height)

    try:
        with Live(draw(), console=screen, screen=True, auto_refresh=False) as live:
            while True:
                live.refresh()
                time.sleep(interval)
                live.update(draw())
    except KeyboardInterrupt:
        return
