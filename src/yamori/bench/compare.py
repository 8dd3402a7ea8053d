"""Ways of reading the same real host, in turns, and what each costs us and the host."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from yamori.bench.stopwatch import Stopwatch
from yamori.model.errors import Failed

ROUNDS = 4
READINGS = 10
"""Of each way in each round, at full scale."""
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """``read`` returns how many VMs were read, ``calls`` how many calls were made so far.

    ``host_cpu`` blocks and returns the CPU seconds so far of the program on the host that answers.
    """

    read: Callable[[], Awaitable[int]]
    calls: Callable[[], int]
    host_cpu: Callable[[], float]


async def compare(ways: Mapping[str, Way], *, vms: int, scale: float) -> dict[str, dict[str, float]]:
    """Read in turns: each way's readings in a row, the first way last in every second round.

    Returns what a ``Stopwatch`` tells of each way, and ``host_cpu_s`` a reading. Raises Failed when another
    number of VMs is told than run.
    """
    watches = {name: Stopwatch(way.calls) for name, way in ways.items()}
    spent = dict.fromkeys(ways, 0.0)
    for way in ways.values():
        await _settled(way, vms)
    for number in range(ROUNDS):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            way = ways[name]
            before = await asyncio.to_thread(way.host_cpu)
            for _ in range(max(1, round(READINGS * scale))):
                found = await watches[name].time(way.read())
                if found != vms:
                    raise Failed(f"the host tells of {found} VMs where {vms} run")
            spent[name] += await asyncio.to_thread(way.host_cpu) - before
    told = {}
    for name, watch in watches.items():
        each = spent[name] / watch.times
        told[name] = {**watch.told(vms), "host_cpu_s": each, "host_cpu_us_per_vm": each / vms * 1e6}
    return told


async def _settled(way: Way, vms: int) -> None:
    """Warm up, until as many VMs are told as run."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (found := await way.read()) != vms:
        if time.monotonic() > deadline:
            raise Failed(f"the host tells of {found} VMs where {vms} run")
        await asyncio.sleep(0.5)
