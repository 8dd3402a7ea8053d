"""`yamori throttle`: hold a VM by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from yamori.cli.asking import settle
from yamori.cli.connection import connect
from yamori.cli.options import COUNT, RATE, SIZE, SPAN, DryRun, Json, NoWait, Reason, StateDir, VMName
from yamori.cli.terminal import clean
from yamori.model.errors import Invalid
from yamori.model.limits import LimitKind

EXAMPLE = """Examples:

\b
  yamori throttle batch-7 --cpu 0.5 --for 10m
  yamori throttle batch-7 --memory 512M --iops 100 --bandwidth 5M --for 1h --reason "backup night"
  yamori throttle batch-7 --cpu 0.5 --for 10m --dry-run

JSON: {"decision", "run"}; "run" is null where policy did not allow it.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(throttle)


def throttle(
    vm: VMName,
    expires: Annotated[float, typer.Option("--for", help="How long at most: 90s, 10m, 1h30m.", **SPAN)],
    cpu: Annotated[float | None, typer.Option("--cpu", help="Cores.", **COUNT)] = None,
    weight: Annotated[
        float | None, typer.Option("--weight", help="CPU share; an ordinary VM has 1.", **COUNT)
    ] = None,
    memory: Annotated[float | None, typer.Option("--memory", help="Bytes: 512M is 512 MiB.", **SIZE)] = None,
    iops: Annotated[
        float | None, typer.Option("--iops", help="Operations per second, each disk.", **COUNT)
    ] = None,
    bandwidth: Annotated[float | None, typer.Option("--bandwidth", help="Bytes/s, each disk: 5M.", **RATE)] = None,
    net_in: Annotated[
        float | None, typer.Option("--net-in", help="Bytes/s towards the VM, each card.", **RATE)
    ] = None,
    net_out: Annotated[
        float | None, typer.Option("--net-out", help="Bytes/s from the VM, each card.", **RATE)
    ] = None,
    reason: Reason = "asked for on the command line",
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Bound what a VM may use, for a while. Policy rules on it; the hypervisor is read back."""
    asked = {
        LimitKind.CPU_CAP: cpu,
        LimitKind.CPU_WEIGHT: weight,
        LimitKind.MEMORY: memory,
        LimitKind.DISK_IOPS: iops,
        LimitKind.DISK_BANDWIDTH: bandwidth,
        LimitKind.NET_IN: net_in,
        LimitKind.NET_OUT: net_out,
    }
    limits = {kind.value: value for kind, value in asked.items() if value is not None}
    if not limits:
        raise Invalid("no limit is given", mend="add one, such as --cpu 0.5")
    with connect(state_dir) as client:
        answer = client.throttle(vm, limits, expires_after_s=expires, reason=reason, dry_run=dry_run)
        title = f"throttling {clean(vm)}"
        settle(client, answer, title=title, dry_run=dry_run, wait=not no_wait, as_json=as_json)
