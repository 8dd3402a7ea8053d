"""What reading the counters of one libvirt host costs, beside the bare bulk call, on libvirt's test driver."""

import asyncio
import statistics
import time
from typing import Any

from yamori.bench.real import LABS
from yamori.bench.result import Bench, BenchResult, Progress, machine
from yamori.bench.ticks import DRIVERS
from yamori.model.errors import Unsupported
from yamori.model.ids import EndpointName, HostId

SIZES = (1_000, 5_000)
TIMES = 5
DOMAIN = """
<domain type='test'>
  <name>bench-{number}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/nowhere/{number}.raw'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'><source network='default'/><target dev='vnet{number}'/></interface>
  </devices>
</domain>
"""


async def _measure(size: int, progress: Progress) -> dict[str, Any]:
    try:
        from yamori.drivers.libvirt.connection import Connection
        from yamori.drivers.libvirt.settings import LibvirtSettings
        from yamori.drivers.libvirt.usage import FLAGS, GROUPS, LibvirtUsage
    except ImportError as error:
        raise Unsupported(
            "bench.libvirt", "libvirt-python is not installed: pip install 'yamori[libvirt]'"
        ) from error
    settings = LibvirtSettings.model_validate(
        {"uri": "test:///default", "timeouts": {"read_s": 120, "act_s": 120}}
    )
    link = Connection(EndpointName("bench"), settings)
    usage = LibvirtUsage(link, HostId("bench"))  # a session has none here: the test driver's counters stand still
    made: list[Any] = []
    try:
        progress(f"collect: making {size} domains")
        await link.call(
            lambda bare: made.extend(bare.createXML(DOMAIN.format(number=i), 0) for i in range(size)),
            capability="bench",
            seconds=600,
        )
        ours: list[float] = []
        bulk: list[float] = []
        rows = 0
        for _ in range(TIMES):
            began = time.process_time()
            await link.call(lambda bare: bare.getAllDomainStats(GROUPS, FLAGS), capability="bench", seconds=120)
            bulk.append(time.process_time() - began)
            began = time.process_time()
            rows = len((await usage.read()).vms)
            ours.append(time.process_time() - began)
    finally:
        await link.call(lambda _: [domain.destroy() for domain in made], capability="bench", seconds=600)
        await link.close()
    return {
        "domains": size,
        "rows": rows,
        "driver_s": statistics.median(ours),
        "bulk_call_s": statistics.median(bulk),
        "overhead": statistics.median(ours) / statistics.median(bulk),
    }


def run(scale: float, progress: Progress) -> BenchResult:
    """Measure at two sizes. ``scale`` multiplies them."""
    told = [asyncio.run(_measure(max(10, int(size * scale)), progress)) for size in SIZES]
    rows = [["domains", "Usage.read", "bare getAllDomainStats", "overhead"]]
    for each in told:
        rows.append(
            [
                f"{each['domains']:,}",
                f"{each['driver_s'] * 1e3:.0f} ms",
                f"{each['bulk_call_s'] * 1e3:.0f} ms",
                f"{each['overhead']:.2f} x",
            ]
        )
    return BenchResult(
        title="CPU time of one reading of a libvirt host (test:///default, in process, no network)",
        rows=rows,
        json={"bench": "collect", "scale": scale, "machine": machine(), "sizes": told},
        notes=("Both make the same bulk call; the driver also turns it into columns and reads the host.",),
    )


BENCH = Bench(
    name="collect",
    summary="libvirt collection, beside the bare bulk call; with --driver beside asking VM by VM",
    run=run,
    drivers=DRIVERS,
    labs=LABS,
)
