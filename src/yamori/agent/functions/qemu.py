"""The agent on a QEMU host: libvirt does nearly all; the agent shapes cards where libvirt cannot."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yamori.agent.functions.cards import taps_of
from yamori.agent.functions.host import Parts
from yamori.agent.functions.net import NetBounds
from yamori.agent.functions.settings import Function, HostSettings
from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.ids import EndpointName
from yamori.model.support import Cell, Level

_USAGE = ("usage", "usage.cpu_delay", "usage.memory_resident", "usage.disk_latency", "usage.net_drops")
_BY_LIBVIRT = Cell(level=Level.NONE, reason="libvirt counts; the agent has nothing to add")


async def qemu_parts(settings: HostSettings, thread: ThreadPoolExecutor) -> Parts:
    """Put the parts together. Which VM has which tap is asked of libvirt, read only, each time."""
    libvirt = await DRIVER.connect(
        EndpointName(settings.host), LibvirtSettings(uri=settings.libvirt_uri, read_only=True)
    )
    bounds = []
    if Function.NET in settings.functions:
        bounds.append(NetBounds(taps_of, settings.bridges, Path(settings.state_dir) / "shaping.lock"))

    def tend() -> None:
        """Nothing has to be done again and again."""

    return Parts(
        hypervisor="QEMU",
        inventory=libvirt.sensing.inventory,
        bounds=bounds,
        usage=None,
        usage_cells=lambda: dict.fromkeys(_USAGE, _BY_LIBVIRT),
        tend=tend,
        close=libvirt.close,
    )
