"""Times one way of reading a host."""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

Told = Mapping[str, float]
"""What one way of reading costs: see ``Stopwatch.told``."""
Ways = Mapping[str, Told]
"""By the name of the way, ours first; ``one_by_one`` is the peers'."""
Size = tuple[int, Ways]
"""So many VMs, and what each way of reading them costs."""
ONE_BY_ONE = "one_by_one"


class Stopwatch:
    """Wall time and our own CPU time of one thing after the other, and the calls it made."""

    def __init__(self, calls: Callable[[], int]) -> None:
        self._calls = calls
        self._taken: list[tuple[float, float, int]] = []

    async def time(self, work: Awaitable[T]) -> T:
        """Time one; return what it returns."""
        calls, wall, cpu = self._calls(), time.perf_counter(), time.process_time()
        found = await work
        self._taken.append((time.perf_counter() - wall, time.process_time() - cpu, self._calls() - calls))
        return found

    @property
    def times(self) -> int:
        """How many were timed."""
        return len(self._taken)

    def told(self, vms: int) -> dict[str, float]:
        """The medians: seconds, calls, and microseconds of our CPU for each VM."""
        wall, cpu, calls = (statistics.median(column) for column in zip(*self._taken, strict=True))
        return {"wall_s": wall, "cpu_s": cpu, "calls": calls, "cpu_us_per_vm": cpu / vms * 1e6}


def over_ours(ways: Ways) -> dict[str, float]:
    """How many times as much asking one by one takes, of each cost that both have; empty where nobody does."""
    theirs = ways.get(ONE_BY_ONE)
    if theirs is None:
        return {}
    ours = next(iter(ways.values()))
    costs = ("calls", "wall_s", "cpu_s", "host_cpu_s")
    return {name: theirs[name] / ours[name] for name in costs if name in theirs and ours.get(name, 0) > 0}
