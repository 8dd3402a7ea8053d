"""Looks at the limits that hold on VMs, all of them in turn and at once where something moved, and tells drift."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from yamori.control.drift import Drift
from yamori.control.keeper import Keeper
from yamori.manifest.module import Hold
from yamori.model.errors import NotFound, YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import Limits
from yamori.model.vm import PowerState

IN_TURN = 2
"""VMs of one endpoint that are read at each tick without a reason, to make up for lost events. Reading limits
takes turns with reading usage inside a hypervisor, so few at a time."""


class Lookout:
    """Keeps the newest known limits of every VM. ``busy`` are VMs with a run under way: not judged meanwhile."""

    def __init__(
        self,
        *,
        tick_s: float,
        now: Callable[[], datetime],
        holds: Callable[[], Mapping[VMId, Hold]],
        busy: Callable[[], frozenset[VMId]],
        on_drift: Callable[[VMId, tuple[str, ...]], None],
    ) -> None:
        self.limits: dict[VMId, Limits] = {}
        self._drift = Drift()
        self._tick_s = tick_s
        self._now = now
        self._holds = holds
        self._busy = busy
        self._on_drift = on_drift
        self._moved: dict[str, set[VMId]] = {}
        self._wake: dict[str, asyncio.Event] = {}

    def moved(self, keeper: Keeper, vm: VMId) -> None:
        """Look at this VM at once: something was changed on it."""
        self._moved.setdefault(keeper.name, set()).add(vm)
        self._wake.setdefault(keeper.name, asyncio.Event()).set()

    def standing(self, vm: VMId) -> tuple[str, ...]:
        """Return what stands changed by hand on a VM, in words."""
        return self._drift.standing(vm)

    def drifted(self) -> frozenset[VMId]:
        """Return the VMs on whose hold somebody has laid hands."""
        return frozenset(vm for vm, hold in self._holds().items() if self._drift.on_hold(vm, hold))

    def forget_all_but(self, vms: Mapping[VMId, object]) -> None:
        """Drop what is known of VMs that no longer exist."""
        self._drift.forget(vms)
        for vm in [vm for vm in self.limits if vm not in vms]:
            del self.limits[vm]

    async def watch(self, keeper: Keeper) -> None:
        """Look after one endpoint until cancelled."""
        wake = self._wake.setdefault(keeper.name, asyncio.Event())
        position = 0
        while True:
            began = time.monotonic()
            running = [vm.id for vm in keeper.listing.vms if vm.state is PowerState.RUNNING]
            turn = [running[(position + i) % len(running)] for i in range(min(IN_TURN, len(running)))]
            position = (position + len(turn)) % max(1, len(running))
            urgent = self._moved.pop(keeper.name, set()) | (set(self._holds()) & set(running))
            wake.clear()
            for vm in dict.fromkeys([*urgent, *turn]):
                await self._look(keeper, vm)
            rest = max(0.05, self._tick_s - (time.monotonic() - began))
            try:
                async with asyncio.timeout(rest):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _look(self, keeper: Keeper, vm: VMId) -> None:
        reader = keeper.session.sensing.limits
        if reader is None:
            return
        busy_before = vm in self._busy()
        try:
            limits = await reader.read(vm)
        except NotFound:
            return
        except YamoriError:
            # The keeper tells of an outage; a limit that could not be read stays as last known, with its age.
            return
        self.limits[vm] = limits
        if busy_before or vm in self._busy():
            return
        new = self._drift.look(vm, limits, self._holds().get(vm), self._now())
        if new:
            self._on_drift(vm, new)
