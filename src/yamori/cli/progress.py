"""Progress of long work: a bar on a terminal, a line a step elsewhere, nothing where JSON is wanted."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from yamori.cli.terminal import clean, console, tell
from yamori.model.errors import NotFound, TimedOut
from yamori.model.run import ENDED

Told = Callable[..., None]
"""Takes the step in words, and how much of the whole is done (0 to 1) where that is known."""
POLL_S = 0.25
GRACE_S = 5.0
"""A run is told before its first word is in the journal: for so long it may be missing there."""


@contextlib.contextmanager
def steps(title: str, *, quiet: bool) -> Iterator[Told]:
    """Give a function that is told each step of a work."""
    if quiet:
        yield lambda _, __=None: None
        return
    if not sys.stderr.isatty():
        begun = time.monotonic()
        yield lambda text, _=None: tell(f"{time.monotonic() - begun:6.1f} s  {clean(text)}")
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        words,
        console=console(sys.stderr),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=None)

        def told(text: str, done: float | None = None) -> None:
            bar.update(
                task, description=f"{title}: {clean(text)}", total=None if done is None else 1.0, completed=done
            )

        yield told


@contextlib.contextmanager
def counted(title: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how far a work of unknown length has come."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description} {task.completed:g}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done: bar.update(task, completed=done)


def follow(client: Any, run_id: str, *, title: str, timeout_s: float, quiet: bool) -> dict[str, Any]:
    """Wait until a run has ended, showing what it does. Raises TimedOut; the run goes on then."""
    begun = time.monotonic()
    deadline = begun + timeout_s
    shown = ""
    with steps(title, quiet=quiet or not sys.stderr.isatty()) as told:
        while True:
            run = _looked_up(client, run_id, patient=time.monotonic() - begun < GRACE_S)
            words, done = _where(run)
            if words != shown:
                told(words, done)
                shown = words
            if run["state"] in ENDED:
                return run
            if time.monotonic() > deadline:
                mend = f"it goes on: yamori runs {run_id}"
                raise TimedOut(f"still {run['state']} after {timeout_s:g} s", subject=run_id, mend=mend)
            time.sleep(POLL_S)


def _looked_up(client: Any, run_id: str, *, patient: bool) -> dict[str, Any]:
    try:
        found: dict[str, Any] = client.run(run_id)
    except NotFound:
        if not patient:
            raise
        return {"id": run_id, "state": "planned", "entries": []}
    return found


def _where(run: dict[str, Any]) -> tuple[str, float | None]:
    """Say where a run stands, and how much of a move is done where its journal tells."""
    entries = run.get("entries") or []
    words = str(run["state"])
    if not entries:
        return words, None
    note = entries[-1].get("note") or {}
    total, done = note.get("total_bytes"), note.get("processed_bytes")
    if isinstance(total, int | float) and isinstance(done, int | float) and total > 0:
        return f"{words}, {min(done / total, 1.0):.0%} copied", min(done / total, 1.0)
    return f"{words} ({entries[-1].get('step', '')})", None
