"""The agent in dom0, put together: each function that is switched on, as far as this host has what it needs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from yamori.agent.functions.bounds import Bounds
from yamori.agent.functions.host import Parts
from yamori.agent.functions.net import NetBounds
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.functions.xen.backends import Backends
from yamori.agent.functions.xen.cards import vifs_of
from yamori.agent.functions.xen.credit import CreditBounds
from yamori.agent.functions.xen.disks import DiskBounds
from yamori.agent.functions.xen.groups import Groups
from yamori.agent.functions.xen.inventory import XenInventory
from yamori.agent.functions.xen.library import Control, Statistics, version
from yamori.agent.functions.xen.roster import Census, Roster
from yamori.agent.functions.xen.store import XenStore
from yamori.agent.functions.xen.tracer import Tracer
from yamori.agent.functions.xen.usage import XenUsage
from yamori.model.errors import YamoriError
from yamori.model.ids import HostId
from yamori.model.support import Cell, Level

_OFF = "switched off in the agent's settings"
_BY_AGENT = Cell(level=Level.AGENT)
_PATIENCE_S = 10.0
"""So long the first records of the scheduler may take; after that the waiting begins when they come."""
_NOBODY = "no running VM to look at"


async def xen_parts(settings: HostSettings, thread: ThreadPoolExecutor) -> Parts:
    """Open what the functions need. Raises Unsupported, Failed where Xen's libraries cannot be used."""
    return await asyncio.get_running_loop().run_in_executor(thread, partial(_parts, settings, thread))


def _parts(settings: HostSettings, thread: ThreadPoolExecutor) -> Parts:
    host = HostId(settings.host)
    statistics, store, backends = Statistics(), XenStore(), Backends()
    roster = Roster(statistics, store, backends)
    inventory = XenInventory(roster, host, thread)
    bounds: list[Bounds] = []
    disks: DiskBounds | None = None
    if Function.NET in settings.functions:
        lock = Path(settings.state_dir) / "shaping.lock"
        bounds.append(NetBounds(partial(vifs_of, roster), settings.bridges, lock))
    if Function.CPU in settings.functions:
        bounds.append(CreditBounds(Control(), roster))
    if Function.DISK in settings.functions:
        disks = DiskBounds(roster, Groups(Path(settings.cgroup)))
        bounds.append(disks)
    tracer, why_not = _tracer(settings, statistics)
    usage = None
    if Function.USAGE in settings.functions:
        usage = XenUsage(roster, host, (lambda _: None) if tracer is None else tracer.told, thread)

    async def close() -> None:
        inventory.close()
        if usage is not None:
            usage.close()
        await asyncio.get_running_loop().run_in_executor(
            thread, partial(_close, bounds, tracer, statistics, store)
        )

    return Parts(
        hypervisor="Xen {}.{}".format(*version()),
        inventory=inventory,
        bounds=bounds,
        usage=usage,
        usage_cells=partial(_cells, settings, roster, tracer, why_not),
        tend=disks.tend if disks is not None else _nothing,
        close=close,
        needs_way=True,
    )


def _tracer(settings: HostSettings, statistics: Statistics) -> tuple[Tracer | None, str]:
    if not {Function.USAGE, Function.WAITING} <= settings.functions:
        return None, _OFF
    try:
        tracer = Tracer(statistics.read().tsc_hz)
    except YamoriError as error:
        return None, error.message
    tracer.wait_begun(_PATIENCE_S)
    return tracer, ""


def _cells(settings: HostSettings, roster: Roster, tracer: Tracer | None, why_not: str) -> Mapping[str, Cell]:
    if Function.USAGE not in settings.functions:
        rows = ("usage", "usage.cpu_delay", "usage.memory_resident", "usage.disk_latency", "usage.net_drops")
        return dict.fromkeys(rows, Cell(level=Level.NONE, reason=_OFF))
    delay = Cell(level=Level.AGENT, reason="from the records of Xen's scheduler")
    if tracer is None:
        delay = Cell(level=Level.NONE, reason=why_not[:400])
    elif tracer.why_not is not None:
        delay = Cell(level=Level.UNKNOWN, reason=tracer.why_not[:400])
    return {
        "usage": _BY_AGENT,
        "usage.cpu_delay": delay,
        "usage.memory_resident": _BY_AGENT,
        "usage.disk_latency": _latency(roster),
        "usage.net_drops": _BY_AGENT,
    }


def _latency(roster: Roster) -> Cell:
    """Known where each disk of some VM has a block device of its own."""
    try:
        census = roster.read()
    except YamoriError as error:
        return Cell(level=Level.UNKNOWN, reason=error.message[:400])
    if not census.guests:
        return Cell(level=Level.UNKNOWN, reason=_NOBODY)
    if any(_has_own_disks(roster, census, guest.domain.number) for guest in census.guests):
        return Cell(level=Level.AGENT, reason="where a disk has a block device of its own; without time held back")
    return Cell(level=Level.NONE, reason="no VM's disks have block devices of their own in dom0")


def _has_own_disks(roster: Roster, census: Census, number: int) -> bool:
    devices = roster.devices(number, census.served)
    blocks = [roster.backends.block(disk) for disk in census.served if disk.kind == "vbd"]
    shared = roster.backends.shared(blocks)
    mine = [roster.backends.block(disk) for disk in devices.disks]
    return bool(mine) and not devices.disks_elsewhere and all(b is not None and b not in shared for b in mine)


def _close(bounds: Sequence[Bounds], tracer: Tracer | None, statistics: Statistics, store: XenStore) -> None:
    steps: list[Callable[[], None]] = [*(each.close for each in bounds), statistics.close, store.close]
    if tracer is not None:
        steps.insert(0, tracer.close)
    for step in steps:
        step()


def _nothing() -> None:
    """Nothing has to be done again and again."""
