"""Guests of the lab: defined persistently on their host, started, and waited for until their service answers."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yamori.lab import domain, wire
from yamori.lab.host import Host
from yamori.lab.layout import Layout
from yamori.lab.spec import GuestPlan, LabSpec
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed, TimedOut, Unsupported


@contextmanager
def connection(host: Host | XenHost) -> Iterator[Any]:
    """A libvirt connection to a host; blocking, for a thread of its own.

    Through the local socket where there is one, not over TLS: when a host is killed the local socket reports it at
    once, while a TCP connection into a vanished namespace would wait for ever.
    """
    libvirt = _library()
    try:
        opened = libvirt.open(host.local_uri)
    except libvirt.libvirtError as error:
        raise Failed(f"cannot connect to libvirtd of {host.name}: {error}") from None
    try:
        yield opened
    except libvirt.libvirtError as error:
        # without the cause: its frames would keep domain objects, and so the connection, alive
        raise Failed(f"libvirt on {host.name}: {error}") from None
    finally:
        opened.close()


def _library() -> Any:
    """libvirt-python, loaded only to make guests, so that a lab can be cleared without it."""
    try:
        libvirt = importlib.import_module("libvirt")
    except ImportError:
        raise Unsupported("lab", "libvirt-python is not installed") from None
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt


def start_all(
    spec: LabSpec,
    layout: Layout,
    hosts: Sequence[Host],
    *,
    domain_type: str,
    kernel: Path,
    initrd: Path,
    progress: Callable[[str], None],
) -> None:
    """Define and start every guest; hosts at the same time, the guests of one host one after the other."""

    def start_on(host: Host) -> None:
        plans = [plan for plan in spec.guests() if plan.host == host.name]
        with connection(host) as opened:
            for plan in plans:
                text = domain.definition(spec, layout, plan, domain_type=domain_type, kernel=kernel, initrd=initrd)
                opened.defineXML(text).create()
                progress(f"{plan.name} started on {host.name}")

    with ThreadPoolExecutor(max_workers=len(hosts), thread_name_prefix="lab-start") as pool:
        for future in [pool.submit(start_on, host) for host in hosts]:
            future.result()


def wait_serving(
    layout: Layout,
    plans: Sequence[GuestPlan],
    *,
    timeout_seconds: float,
    progress: Callable[[str], None],
    check: Callable[[], None],
) -> None:
    """Wait until the service of every guest answers; raises TimedOut naming those which do not.

    ``check`` is called all the time and may raise to give up.
    """
    deadline = time.monotonic() + timeout_seconds
    waiting = list(plans)
    while waiting:
        for plan in list(waiting):
            check()
            address = layout.guest_address(plan.number)
            if wire.ask(layout.switch_namespace, address, wire.Work(), timeout_seconds=0.3) is not None:
                waiting.remove(plan)
                progress(f"{plan.name} serves")
        if waiting and time.monotonic() > deadline:
            names = ", ".join(plan.name for plan in waiting)
            raise TimedOut(
                f"guests {names} did not serve within {timeout_seconds:.0f} s",
                mend=f"see {layout.directory}/<host>/log/qemu/<guest>.console.log",
            )
