"""Limits that break one promise each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.testing.broken.layer import Layer, Session
from yamori.model.errors import Invalid, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits


class ReadsFromMemory(Layer):
    """Reader and writer in one: what was set here is what is told."""

    def __init__(self, session: Session, healthy: Any) -> None:
        super().__init__(session, healthy)
        self.memory: dict[LimitKind, float | None] = {}

    async def read(self, vm: VMId) -> Limits:
        limits = await self.session.healthy.sensing.limits.read(vm)
        return dataclasses.replace(limits, values={**limits.values, **self.memory})

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self.session.healthy.acting.limits.set(vm, limits, lapse_s=lapse_s)
        self.memory.update(limits)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        await self.session.healthy.acting.limits.pin(vm, cpus)


class ChangesBeforeItRefuses(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        refused: Exception | None = None
        for kind, value in limits.items():
            try:
                await self.healthy.set(vm, {kind: value}, lapse_s=lapse_s)
            except (Unsupported, Invalid) as error:
                refused = error
        if refused is not None:
            raise refused


class LiftsWhatIsNotNamed(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self.healthy.set(
            vm, {**dict.fromkeys((LimitKind.CPU_CAP, LimitKind.DISK_IOPS)), **limits}, lapse_s=lapse_s
        )


class TakesAnyNumber(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        sane = {k: v if v is None or v > 0 else 1.0 for k, v in limits.items()}
        await self.healthy.set(vm, sane, lapse_s=lapse_s)


class SwallowsTheUnsupported(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        try:
            await self.healthy.set(vm, limits, lapse_s=lapse_s)
        except Unsupported:
            return


class NeverLapses(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self.healthy.set(vm, limits, lapse_s=None if lapse_s is None else lapse_s * 1e6)


class LapsesThoughRenewed(Layer):
    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self.healthy.set(vm, limits, lapse_s=None if lapse_s is None else min(lapse_s, 3.0))


class LimitsOnlyInWords(Layer):
    """The limit reads back as set, but does not bound what the guest does."""

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        await self.healthy.set(vm, limits, lapse_s=lapse_s)
        row = self.world.row(vm)
        for kind in limits:
            self.world.columns.limit(kind)[row] = np.inf
        self.session.sense(limits=_Told(self.session, self.session.healthy.sensing.limits, dict(limits)))


class _Told(Layer):
    def __init__(self, session: Session, healthy: Any, told: Mapping[LimitKind, float | None]) -> None:
        super().__init__(session, healthy)
        self.told = told

    async def read(self, vm: VMId) -> Limits:
        limits = await self.healthy.read(vm)
        return dataclasses.replace(limits, values={**limits.values, **self.told})


class PinsNothing(Layer):
    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        del cpus
        await self.healthy.pin(vm, None)
