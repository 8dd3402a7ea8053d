"""Counters that break one promise each."""

import dataclasses

import numpy as np

from tests.testing.broken.layer import Layer
from yamori.capabilities.sensing.usage import COUNTERS, Column, UsageFrame


class CountersFall(Layer):
    reads = 0

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        self.reads += 1
        values = frame.values.copy()
        values[:, list(COUNTERS)] /= self.reads**3
        return dataclasses.replace(frame, values=values)


class SaysZeroForUnknown(Layer):
    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        values = frame.values.copy()
        values[:, Column.MEMORY_RESIDENT] = 0.0
        return dataclasses.replace(frame, values=values)


class CountsWhatItCannotKnow(Layer):
    """The probe says that CPU delay is not there, and yet its column holds a number."""

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        values = frame.values.copy()
        values[:, Column.CPU_DELAY] = 0.0
        return dataclasses.replace(frame, values=values)


class WritesIntoGivenFrames(Layer):
    last: UsageFrame | None = None

    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        if self.last is None or self.last.vms != frame.vms:
            self.last = dataclasses.replace(frame, values=frame.values.copy())
        self.last.values[:] = frame.values
        return self.last


class ForgetsTheClock(Layer):
    async def read(self) -> UsageFrame:
        frame = await self.healthy.read()
        return dataclasses.replace(frame, read_at=np.zeros_like(frame.read_at))
