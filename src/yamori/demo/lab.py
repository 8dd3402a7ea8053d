"""The stage of real libvirt hosts and real guests on this machine."""

import asyncio
import math
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

from yamori.demo.stage import Progress, Service
from yamori.lab.attack import AttackKind
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.leftovers import find_leftovers
from yamori.lab.service import Load, ServiceProbe
from yamori.lab.spec import LabSpec
from yamori.model.errors import Conflict, YamoriError

NAME = "demo"
ATTACK_S = 240
"""The guest itself ends an attack after this, whatever becomes of us."""
GIVEN_UP_S = 5.0
"""What a request that was never answered counts as."""
SETTLE_S = 12.0
"""Pages that were touched only while booting are written out first, and working sets come back."""
LOAD = Load(rate=8.0, cpu_seconds=0.006)
"""Four guests that use less than half of their host's core together: a calm day that leaves room."""
SHARES = {"vm-a3": 8192, "vm-b3": 8192}
"""The offenders have eight times their neighbours' CPU shares, as guests from a template with high shares have."""
PACKING = 95
"""Percent of what booted guests hold that their host has for them: room on a calm day, none for a hog."""
STEPS = 28.0
"""About so many progress messages come while the lab is built; only the bar's pace depends on it."""
GUARD = {"confidence": 0.53, "probe_s": 4.0, "loosen": 1.6, "gone_s": 5.0, "balloon_s": 2.0}
"""A story should not take an hour: the guard tries sooner whether it can let go, and in larger steps."""
OFFENDERS = {"cpu": "vm-a3", "memory": "vm-b3", "disk": "vm-a3"}


class LabStage:
    """Two real hosts with four guests each, their disks on an array of finite speed."""

    def __init__(self, *, name: str = NAME) -> None:
        self._spec = LabSpec(name=name, memory_packing_percent=PACKING, cpu_shares=SHARES)
        self._lab: Lab | None = None
        self._probe: ServiceProbe | None = None
        self._told = 0

    @property
    def title(self) -> str:
        """What this stage is."""
        return f"lab: {self._spec.hosts} real libvirt/QEMU hosts, {len(self._spec.guests())} guests"

    async def up(self, progress: Progress) -> None:
        """Build hosts and guests; measure the guests' service from then on. Raises Unsupported, Failed."""

        def tell(text: str) -> None:
            self._told += 1
            progress(text, min(0.95, self._told / STEPS))

        if any(left.name == self._spec.name for left in await asyncio.to_thread(find_leftovers)):
            progress("clearing what a story that was killed has left", 0.0)
            await clear_lab(self._spec.name)
        self._lab = await Lab.up(self._spec, progress=tell)
        self._probe = ServiceProbe(self._lab, load=LOAD)
        await asyncio.to_thread(self._probe.start)
        progress("the guests' services warm up", 0.97)
        await asyncio.sleep(SETTLE_S)
        progress("the lab is up, every guest serves", 1.0)

    def fleet(self) -> dict[str, Any]:
        """Return the configuration."""
        return {
            "tick_s": 0.5,
            "recording": {"enabled": False},
            "modules": {"guard": GUARD},
            **self._there().fleet_config(),
        }

    def policy(self) -> str:
        """Return the lab's policy: what such guests can be promised, and that their offenders are held."""
        return resources.files("yamori.demo").joinpath("policy.yaml").read_text(encoding="utf-8")

    def offenders(self) -> Mapping[str, str]:
        """Return who turns noisy."""
        return OFFENDERS

    async def attack(self, vm: str, kind: str) -> None:
        """Let a guest turn on its neighbours."""
        await self._there().attack(vm, AttackKind(kind), seconds=ATTACK_S)

    async def stop_attack(self, vm: str) -> None:
        """Let it be quiet again."""
        await self._there().stop_attack(vm)

    def service(self, vm: str, since: float, until: float) -> Service:
        """Return how a guest answered, as measured from the lab's switch."""
        if self._probe is None:
            return Service(asked=0, answered=0, p50_s=None, p95_s=None)
        stats = self._probe.window(since, until)[vm]
        return Service(
            asked=stats.asked,
            answered=stats.answered,
            p50_s=_seconds(stats.latency_p50),
            p95_s=_seconds(stats.latency_p95),
        )

    def now(self) -> float:
        """Return the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def down(self) -> tuple[str, ...]:
        """Take everything away; return what could not be."""
        if self._probe is not None:
            await asyncio.to_thread(self._probe.stop)
            self._probe = None
        if self._lab is None:
            return ()
        try:
            await clear_lab(self._spec.name)
        except YamoriError as error:
            return (str(error),)
        self._lab = None
        return ()

    def _there(self) -> Lab:
        if self._lab is None:
            raise Conflict("the lab is not up")
        return self._lab


def _seconds(value: float) -> float | None:
    if math.isnan(value):
        return None
    return min(value, GIVEN_UP_S)
