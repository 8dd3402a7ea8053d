"""Reads a real host of a lab in both ways: as its driver or agent does, and VM by VM."""

from collections.abc import Callable, Mapping
from typing import Any

from yamori.bench.compare import Way, compare
from yamori.bench.counting import CountingConnection
from yamori.bench.exporter import Exporter
from yamori.bench.hostcpu import in_dom0, libvirtd_in_dom0, of_libvirtd
from yamori.bench.labagent import lab_agent
from yamori.bench.labhost import LabHost, lab_host
from yamori.bench.result import LabWish, Progress
from yamori.bench.stopwatch import ONE_BY_ONE, Size
from yamori.capabilities.sensing.usage import Usage
from yamori.drivers.libvirt.usage import LibvirtUsage
from yamori.lab.host import Host
from yamori.lab.spec import LabSpec
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed, Unsupported
from yamori.model.ids import HostId

Found = tuple[list[Size], dict[str, Any]]
"""Each size that was measured, and what else there is to tell."""


async def read_qemu(wish: LabWish, progress: Progress, spec: Callable[[str], LabSpec]) -> Found:
    """Measure a QEMU host of a lab."""
    async with lab_host(wish, progress, spec, xen=False) as place, place.connected() as bare:
        if not isinstance(place.host, Host):
            raise Failed(f"{place.host.name} is no QEMU host")
        link = CountingConnection(bare)
        exporter = Exporter(link)
        await exporter.look()
        usage = LibvirtUsage(link, HostId(place.host.name))  # type: ignore[arg-type]  # all of it that is used
        spent = of_libvirtd(place.host)
        ways = {
            "ours": Way(read=_reader(usage), calls=link.calls, host_cpu=spent),
            ONE_BY_ONE: Way(read=exporter.read, calls=link.calls, host_cpu=spent),
        }
        return await _measured(wish, progress, place, ways), _facts(exporter)


async def read_xen(wish: LabWish, progress: Progress, spec: Callable[[str], LabSpec]) -> Found:
    """Measure a Xen host of a lab, with its agent."""
    async with lab_host(wish, progress, spec, xen=True) as place:
        if not isinstance(place.host, XenHost):
            raise Failed(f"{place.host.name} is no Xen host")
        async with lab_agent(place, progress) as agent, place.connected() as bare:
            usage = agent.session.sensing.usage
            if usage is None:
                raise Unsupported("usage", "the agent reads no usage")
            link = CountingConnection(bare)
            exporter = Exporter(link)
            await exporter.look()
            ways = {
                "ours": Way(read=_reader(usage), calls=agent.calls, host_cpu=in_dom0(place.host, agent.pid)),
                ONE_BY_ONE: Way(read=exporter.read, calls=link.calls, host_cpu=libvirtd_in_dom0(place.host)),
            }
            return await _measured(wish, progress, place, ways), _facts(exporter)


async def _measured(wish: LabWish, progress: Progress, place: LabHost, ways: Mapping[str, Way]) -> list[Size]:
    """Measure with all guests; then, where they are ours to end, with half of them."""
    names = place.guests
    vms = len(names)
    if not vms:
        raise Failed(f"{place.host.name} has no guests to read")
    progress(f"collect: reading {vms} VMs of {place.host.name}")
    sizes: list[Size] = [(vms, await compare(ways, vms=vms, scale=wish.scale))]
    if place.ours and vms > 1:
        await place.end(names[vms // 2 :])
        progress(f"collect: reading {vms // 2} VMs of {place.host.name}")
        sizes.append((vms // 2, await compare(ways, vms=vms // 2, scale=wish.scale)))
    return sizes


def _reader(usage: Usage) -> Callable[[], Any]:
    async def read() -> int:
        return len((await usage.read()).vms)

    return read


def _facts(exporter: Exporter) -> dict[str, Any]:
    return {"one_by_one_asked": list(exporter.asked), "one_by_one_refused": list(exporter.refused)}
