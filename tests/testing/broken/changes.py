"""Feeds of changes that break one promise each."""

import asyncio
from collections.abc import AsyncIterator

from tests.testing.broken.layer import Layer
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Unreachable


class ForgetsEveryThirdChange(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        number = 0
        async for change in self.healthy.watch():
            number += 1
            if number % 3:
                yield change


class TellsOutOfOrder(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        held: Change | None = None
        async for change in self.healthy.watch():
            if change.kind is ChangeKind.PAUSED and held is None:
                held = change
                continue
            yield change
            if held is not None:
                yield held
                held = None


class TellsOnlyTheFirstWatcher(Layer):
    watching = False

    async def watch(self) -> AsyncIterator[Change]:
        if self.watching:
            await asyncio.Event().wait()
        self.watching = True
        async for change in self.healthy.watch():
            yield change


class WatchesForEver(Layer):
    async def watch(self) -> AsyncIterator[Change]:
        try:
            async for change in self.healthy.watch():
                yield change
        except Unreachable:
            await asyncio.Event().wait()
