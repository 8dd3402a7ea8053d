"""`yamori bench`: measurements beside named peers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from yamori.cli import completion
from yamori.cli.options import Json
from yamori.cli.terminal import clean, emit, say, show, tell
from yamori.model.errors import NotFound

EXAMPLE = """Examples:

\b
  yamori bench
  yamori bench detect
  yamori bench collect --driver vsphere --json
  yamori bench collect --driver libvirt-qemu --guests 8
  yamori bench guard --json > guard.json

JSON: what the benchmark measured; without a name {name: summary}.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(bench)


def bench(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Left out: list them.", autocompletion=completion.bench_names),
    ] = None,
    scale: Annotated[
        float,
        typer.Option("--scale", min=0.001, max=10, help="1 is the full size; less is quicker and proves less."),
    ] = 1.0,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", envvar="YAMORI_DATA", help="Real series and traces.")
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="NAME", help="Measure one driver, beside asking VM by VM (collect)."),
    ] = None,
    guests: Annotated[
        int | None,
        typer.Option("--guests", min=1, max=20, help="Real VMs, with --driver libvirt-qemu or xen; root."),
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option("--lab", metavar="NAME", help="Measure in this lab, which is up, instead of making one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a benchmark on this machine and print its numbers."""
    if data is not None:
        os.environ["YAMORI_DATA"] = str(data)
    from yamori.bench import BENCHES
    from yamori.bench.choice import chosen
    from yamori.policy.document import nearest

    if name is None:
        _list(BENCHES, as_json=as_json)
        return
    if name not in BENCHES:
        meant = nearest(name, list(BENCHES))
        mend = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(BENCHES)}"
        raise NotFound("there is no such benchmark", subject=clean(name), mend=mend)
    run = chosen(
        BENCHES[name], driver=None if driver is None else clean(driver), scale=scale, guests=guests, lab=lab
    )
    result = run(lambda text: tell(clean(text)))
    if as_json:
        emit(dict(result.json))
        return
    say(clean(result.title))
    show(result.rows[0], result.rows[1:], right=result.rows[0][1:])
    for note in result.notes:
        say(clean(note, 500))


def _list(benches: Any, *, as_json: bool) -> None:
    if as_json:
        emit({name: each.summary for name, each in benches.items()})
        return
    for name, each in benches.items():
        say(f"{clean(name):12}  {clean(each.summary)}")
