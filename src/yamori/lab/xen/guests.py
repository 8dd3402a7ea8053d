"""Guests of Xen hosts: defined persistently over TLS and started, all at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from yamori.lab.command import run
from yamori.lab.layout import Layout
from yamori.lab.spec import GuestPlan, LabSpec
from yamori.lab.xen.domain import definition
from yamori.lab.xen.host import XenHost

_SECONDS_A_GUEST = 180.0
"""Making a domain takes 2 to 6 s on a quiet machine and ten times that on a busy one."""


def start_all(spec: LabSpec, layout: Layout, hosts: Sequence[XenHost], *, progress: Callable[[str], None]) -> None:
    """Define and start every guest of the given hosts.

    By a virsh each: it can be given up after a time, while a call of the library into a machine that has died
    waits for ever.
    """

    def start(host: XenHost, plan: GuestPlan) -> None:
        folder = host.directory / "guests"
        folder.mkdir(exist_ok=True)
        described = folder / f"{plan.name}.xml"
        described.write_text(definition(spec, layout, plan))
        for verb in (("define", str(described)), ("start", plan.name)):
            run(["virsh", "--quiet", "--connect", host.local_uri, *verb], timeout_seconds=_SECONDS_A_GUEST)
        progress(f"{plan.name} started on {host.name}")

    pairs = [(host, plan) for host in hosts for plan in spec.guests() if plan.host == host.name]
    if not pairs:
        return
    with ThreadPoolExecutor(max_workers=len(pairs), thread_name_prefix="lab-xen-start") as pool:
        for future in [pool.submit(start, host, plan) for host, plan in pairs]:
            future.result()
