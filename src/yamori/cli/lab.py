"""`yamori lab`: real hypervisors with tiny guests on this one machine, and away with them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from yamori.cli.asking import confirm
from yamori.cli.files import write
from yamori.cli.options import Json, Yes, one_of
from yamori.cli.progress import steps
from yamori.cli.terminal import clean, emit, say, show
from yamori.model.errors import NotPermitted

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="A disposable fleet on this machine; root."
)
NAME = Annotated[str, typer.Argument(metavar="NAME", help="The lab's name.")]
DEFAULT = "lab"


class Kind(StrEnum):
    """What a lab may have beside QEMU hosts."""

    XEN = "xen"
    VSPHERE = "vsphere"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="lab")


@commands.command(
    epilog="""Examples:

\b
  yamori lab up
  yamori lab up big --hosts 3 --guests 6 --config big.yaml
  yamori lab up mixed --hosts 1 --with xen,vsphere

JSON: the configuration of its fleet.
"""
)
def up(
    name: NAME = DEFAULT,
    hosts: Annotated[int, typer.Option("--hosts", min=0, max=10, help="How many QEMU hosts.")] = 2,
    guests: Annotated[int, typer.Option("--guests", min=0, max=20, help="Guests on each host.")] = 4,
    memory: Annotated[int, typer.Option("--memory", min=96, max=4096, help="MiB for each guest.")] = 256,
    accelerator: Annotated[str, typer.Option("--accelerator", help="auto, kvm or tcg.")] = "auto",
    beside: Annotated[
        str, typer.Option("--with", metavar="KINDS", help="Hypervisors beside QEMU: xen, vsphere, or both.")
    ] = "",
    xen_hosts: Annotated[
        int, typer.Option("--xen-hosts", min=1, max=3, help="How many Xen hosts, with --with xen.")
    ] = 1,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Write the fleet's configuration here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring up a lab that stays until it is taken down."""
    import asyncio
    import json

    from yamori.lab.lab import Lab
    from yamori.lab.spec import Accelerator, LabSpec

    one_of(Accelerator, accelerator, "--accelerator")
    kinds = {one_of(Kind, word.strip(), "--with") for word in beside.split(",") if word.strip()}
    spec = LabSpec(
        name=name,
        hosts=hosts,
        guests_per_host=guests,
        guest_memory_mib=memory,
        accelerator=Accelerator(accelerator),
        xen_hosts=xen_hosts if Kind.XEN in kinds else 0,
        vcenter=Kind.VSPHERE in kinds,
        detached=True,
    )
    _need_root()
    with steps(f"lab {clean(name)}", quiet=as_json) as progress:
        made = asyncio.run(Lab.up(spec, progress=progress))
    fleet = made.fleet_config()
    if config is not None:
        write(config, json.dumps(fleet, indent=2) + "\n")  # JSON is YAML
    if as_json:
        emit(fleet)
        return
    more = " and a vCenter" if spec.vcenter else ""
    say(f"lab {name} is up: {len(made.hosts)} hosts with {len(made.guests)} guests{more}")
    say(
        f"guard it with: yamori up --config {clean(config)}"
        if config
        else f"its configuration: yamori lab config {name}"
    )


@commands.command(
    epilog="""Examples:

\b
  yamori lab down
  yamori lab down --leftovers

JSON: what was removed, by lab.
"""
)
def down(
    name: NAME = DEFAULT,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Every lab whose maker has died, instead.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken down.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take a lab down and remove all that it made: processes, namespaces, mounts, files."""
    import asyncio

    from yamori.lab.lab import clear_lab
    from yamori.lab.leftovers import find_leftovers, status

    _need_root()
    known = {entry.name: entry for entry in (find_leftovers() if leftovers else status())}
    names = sorted(known) if leftovers else [name]
    alive = [n for n in names if n in known and known[n].processes_alive and not known[n].orphaned]
    if dry_run:
        emit({"would_clear": names}) if as_json else say(
            f"would clear: {', '.join(map(clean, names)) or 'nothing'}"
        )
        return
    if alive:
        confirm(f"End {', '.join(alive)} with all its guests?", yes=yes)
    told = {}
    for each in names:
        with steps(f"clearing {clean(each)}", quiet=as_json):
            told[each] = asyncio.run(clear_lab(each)).as_record()
    if as_json:
        emit(told)
        return
    for each, cleared in told.items():
        counts = ", ".join(f"{v if isinstance(v, int) else len(v)} {k}" for k, v in cleared.items() if v)
        say(f"{clean(each)}: {f'removed {counts}' if counts else 'there was nothing to remove'}")
    if not told:
        say("nothing was left over")


@commands.command(
    name="status",
    epilog="""Example:

\b
  yamori lab status

JSON: a list of labs.
""",
)
def lab_status(as_json: Json = False) -> None:
    """List the labs of this machine, those that nobody will clear included."""
    from yamori.lab.leftovers import status

    found = status()
    if as_json:
        emit([entry.as_record() for entry in found])
        return
    show(
        ("NAME", "STATE", "HOSTS", "PROCESSES", "STAYS", "LEFT OVER"),
        [(e.name, e.state, _parts(e.parts), e.processes_alive, _yes(e.detached), _yes(e.orphaned)) for e in found],
        right=("PROCESSES",),
    )


@commands.command(
    epilog="""Example:

\b
  yamori lab config > fleet.yaml
"""
)
def config(name: NAME = DEFAULT) -> None:
    """Print the configuration of a lab's fleet, for yamori up."""
    from yamori.lab.lab import Lab

    emit(Lab.open(name).fleet_config())


def _parts(parts: Mapping[str, bool]) -> str:
    return ", ".join(name if runs else f"{name} (off)" for name, runs in parts.items())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _need_root() -> None:
    import os

    if os.geteuid() != 0:
        raise NotPermitted("a lab needs root: it makes namespaces and starts hypervisors", mend="use sudo")
