"""What one reading of a thousand VMs costs with each driver, beside asking for one VM after the other.

VM by VM is how public exporters read what has no bulk call, or what they do not know to have one.
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yamori.bench.result import BenchResult, Progress, machine
from yamori.bench.stopwatch import ONE_BY_ONE, Stopwatch, Ways, over_ours
from yamori.model.errors import Unsupported
from yamori.model.ids import EndpointName, HostId

VMS = 1_000
_TIMES = 5
_SECONDS = 600.0


def _result(driver: str, vms: int, title: str, told: Ways, notes: tuple[str, ...]) -> BenchResult:
    rows = [["way", "calls", "seconds", "our CPU", "CPU a VM"]]
    for way, each in told.items():
        cost = [
            f"{each['wall_s'] * 1e3:.0f} ms",
            f"{each['cpu_s'] * 1e3:.0f} ms",
            f"{each['cpu_us_per_vm']:.0f} us",
        ]
        rows.append([way.replace("_", " "), f"{each['calls']:,.0f}", *cost])
    if ratios := over_ours(told):
        words = f"{ratios['calls']:.0f} x the calls, {ratios['wall_s']:.1f} x the time"
        notes = (f"VM by VM takes {words}, {ratios['cpu_s']:.1f} x our CPU.", *notes)
    return BenchResult(
        title=title,
        rows=rows,
        json={
            "bench": "collect",
            "driver": driver,
            "vms": vms,
            "machine": machine(),
            "ways": told,
            "one_by_one_over_ours": ratios,
        },
        notes=notes,
    )


async def _simulator(vms: int, progress: Progress) -> dict[str, dict[str, float]]:
    from yamori.drivers.simulator import SimulatorSession, World, WorldShape

    progress(f"collect: a simulated host with {vms} VMs")
    world = World(WorldShape(hosts=1, vms_per_host=vms))
    session = SimulatorSession(world, EndpointName("bench"))
    watch = Stopwatch(lambda: 0)
    if session.sensing.usage is not None:
        for _ in range(_TIMES):
            world.advance(1.0)
            await watch.time(session.sensing.usage.read())
    await session.close()
    return {"ours": watch.told(vms)}


def simulator(scale: float, progress: Progress) -> BenchResult:
    """The simulator: what the form of a reading costs, without anybody who is asked."""
    vms = max(10, int(VMS * scale))
    told = asyncio.run(_simulator(vms, progress))
    title = f"One reading of {vms:,} VMs of the simulator (in process)"
    return _result("simulator", vms, title, told, ("No hypervisor is asked, so there are no calls.",))


async def _libvirt_test(vms: int, progress: Progress) -> dict[str, dict[str, float]]:
    try:
        from yamori.bench.domains import Domains
        from yamori.bench.exporter import Exporter
        from yamori.drivers.libvirt.usage import LibvirtUsage
    except ImportError as error:
        why = "libvirt-python is not installed: pip install 'yamori[libvirt]'"
        raise Unsupported("bench.libvirt", why) from error
    async with Domains(vms, progress) as domains:
        asked = domains.connection
        usage = LibvirtUsage(asked, HostId("bench"))  # type: ignore[arg-type]  # all of a connection that it uses
        exporter = Exporter(asked)
        ours, theirs = Stopwatch(asked.calls), Stopwatch(asked.calls)
        for _ in range(_TIMES):
            await ours.time(usage.read())
            await theirs.time(exporter.read())
        return {"ours": ours.told(vms), ONE_BY_ONE: theirs.told(vms)}


def libvirt_test(scale: float, progress: Progress) -> BenchResult:
    """libvirt's built-in test driver, in process: the library's own cost, without a daemon or a network."""
    vms = max(10, int(VMS * scale))
    told = asyncio.run(_libvirt_test(vms, progress))
    title = f"One reading of {vms:,} VMs of a libvirt host (test:///default, in process, no network)"
    note = "With a daemon each call also pays a round trip, which this cannot show."
    return _result("libvirt-test", vms, title, told, (note,))


async def _vsphere(vcenter: Any, vms: int, progress: Progress) -> dict[str, dict[str, float]]:
    from yamori.bench.vcenter import one_by_one, session_to

    session = session_to(vcenter)

    def calls() -> int:
        link = session.connection.link
        counted = {} if link is None else dict(link.wire.calls)
        return sum(count for name, count in counted.items() if name != "WaitForUpdatesEx")

    fresh, between, theirs = (Stopwatch(calls) for _ in range(3))
    for number in range(3):
        session = session_to(vcenter) if number else session
        try:
            usage = session.sensing.usage
            await session.sensing.inventory.vm((await session.sensing.inventory.read()).vms[0].id)
            if usage is not None:
                await fresh.time(usage.read())
                for _ in range(_TIMES):
                    await between.time(usage.read())
            progress("collect: now VM by VM")
            await theirs.time(session.connection.call(one_by_one, capability="bench", seconds=_SECONDS))
        finally:
            await session.close()
    return {"ours": fresh.told(vms), "ours_between_samples": between.told(vms), ONE_BY_ONE: theirs.told(vms)}


def vsphere(scale: float, progress: Progress) -> BenchResult:
    """The vSphere driver on VMware's API simulator, over TLS on this machine."""
    try:
        from yamori.bench.vcenter import running
    except ImportError as error:
        raise Unsupported("bench.vsphere", "pyvmomi is not installed: pip install 'yamori[vsphere]'") from error
    vms = max(10, int(VMS * scale) // 2 * 2)
    with (
        tempfile.TemporaryDirectory(prefix="yamori-bench-") as folder,
        running(Path(folder), vms, progress) as made,
    ):
        told = asyncio.run(_vsphere(made, vms, progress))
    title = f"One reading of {vms:,} VMs on ten hosts of a vCenter (API simulator, TLS, this machine)"
    notes = (
        "ours: a reading with new samples, which come every 20 s; between samples only states are asked for.",
        "Seconds contain the simulator's own time, which shares this machine's cores.",
    )
    return _result("vsphere", vms, title, told, notes)


DRIVERS: Mapping[str, Callable[[float, Progress], BenchResult]] = {
    "libvirt-test": libvirt_test,
    "simulator": simulator,
    "vsphere": vsphere,
}
