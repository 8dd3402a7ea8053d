"""`yamori fleet`: every VM, where it is, what it uses, how it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from yamori.cli import completion, wording
from yamori.cli.connection import connect
from yamori.cli.options import Json, StateDir, one_of
from yamori.cli.terminal import clean, emit, say, show

EXAMPLE = """Examples:

\b
  yamori fleet
  yamori fleet --host rack-a --standing broken
  yamori fleet web-1
  yamori fleet --held --json

JSON: a list of VMs as GET /api/v1/vms gives them; of one VM, the VM with "limits".
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(fleet)


def fleet(
    vm: Annotated[
        str | None, typer.Argument(metavar="VM", help="Show one VM in full.", autocompletion=completion.vm_names)
    ] = None,
    search: Annotated[str, typer.Option("--search", help="Part of a name, an id, a host or a label.")] = "",
    host: Annotated[
        str | None, typer.Option("--host", autocompletion=completion.host_ids, help="On this host.")
    ] = None,
    standing: Annotated[
        str | None, typer.Option("--standing", help="Served so: kept, broken, unknown or not_promised.")
    ] = None,
    held: Annotated[bool, typer.Option("--held", help="Only those under a throttle of ours.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at most.")] = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """List the VMs, or show one of them."""
    if standing is not None:
        from yamori.control.facade import Standing

        one_of(Standing, standing, "--standing")
    with connect(state_dir) as client:
        if vm is not None:
            _one(client, vm, as_json=as_json)
            return
        found = client.vms(search=search, host=host, standing=standing, held=held or None, limit=limit)
    if as_json:
        emit(found)
        return
    show(
        ("NAME", "HOST", "STATE", "SLA", "CPU", "MEMORY", "SERVED", "HELD", "BY HAND"),
        [row(each) for each in found],
        right=("CPU", "MEMORY"),
    )


def row(view: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what the table shows of a VM."""
    vm, rates = view["vm"], view["rates"]
    return (
        vm["name"],
        vm["host"],
        vm["state"],
        vm["labels"].get("sla", wording.NONE),
        wording.cores(rates.get("cpu_cores")),
        wording.size(rates.get("memory_assigned_bytes")),
        view["standing"],
        wording.hold(view["hold"]),
        "; ".join(view["drift"]) or wording.NONE,
    )


def _one(client: Any, name: str, *, as_json: bool) -> None:
    view = client.vm(name)
    limits = client.limits(view["vm"]["id"])
    if as_json:
        emit({**view, "limits": limits})
        return
    vm = view["vm"]
    say(f"{clean(vm['name'])}  {clean(vm['id'])}")
    labels = ", ".join(f"{clean(k)}={clean(v)}" for k, v in sorted(vm["labels"].items())) or wording.NONE
    say(f"on {clean(vm['host'])}, {clean(vm['state'])}, {vm['vcpus']} vCPUs, {wording.size(vm['memory_bytes'])}")
    say(f"labels: {labels}")
    say(f"held: {wording.hold(view['hold'])}")
    for line in view["drift"]:
        say(f"changed by hand: {clean(line)}")
    values, unknown = limits["limits"]["values"], limits["limits"]["unknown"]
    say()
    show(
        ("LIMIT", "HOLDS", "CAN BE SET"),
        [(k, wording.limit(k, v), "yes" if k in limits["settable"] else "no") for k, v in values.items()]
        + [(k, f"unknown: {why}", "yes" if k in limits["settable"] else "no") for k, why in unknown.items()],
    )
    say()
    show(
        ("OBJECTIVE", "MEASURED", "PROMISED", "STANDING"),
        [
            (
                s["objective"],
                wording.objective(s["objective"], s["value"]),
                wording.NONE if s["bound"] is None else wording.objective(s["objective"], s["bound"]),
                s["standing"],
            )
            for s in view["served"]
        ],
        right=("MEASURED", "PROMISED"),
    )
