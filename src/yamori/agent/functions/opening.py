"""Opens the session of this host."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from yamori.agent.functions.carrying import Way
from yamori.agent.functions.host import HostSession
from yamori.agent.functions.settings import HostSettings
from yamori.agent.lapse import LapseNote

_CAPABILITIES = Path("/proc/xen/capabilities")


async def opened(
    settings: HostSettings,
    enter: Callable[[], None] | None,
    tell: Callable[[LapseNote], None],
    way: Way | None,
) -> HostSession:
    """Open and begin. Raises Failed, Unsupported."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="host", initializer=enter)
    try:
        if hypervisor_here(settings) == "xen":
            from yamori.agent.functions.xen.parts import xen_parts

            parts = await xen_parts(settings, thread)
        else:
            from yamori.agent.functions.qemu import qemu_parts

            parts = await qemu_parts(settings, thread)
        session = HostSession(settings, parts, thread, tell, way)
        await session.begin()
    except BaseException:
        thread.shutdown(wait=False)
        raise
    return session


def hypervisor_here(settings: HostSettings) -> Literal["qemu", "xen"]:
    """Say whose VMs run here: dom0 of Xen has control over others (Linux, drivers/xen/xenfs)."""
    if settings.hypervisor != "auto":
        return settings.hypervisor
    try:
        return "xen" if "control_d" in _CAPABILITIES.read_text("ascii") else "qemu"
    except OSError:
        return "qemu"
