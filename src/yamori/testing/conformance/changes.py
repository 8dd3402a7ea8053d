"""What `capabilities/sensing/changes.py` promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from yamori.capabilities.sensing.changes import Changes
from yamori.capabilities.session import Session
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Unreachable
from yamori.model.ids import VMId
from yamori.model.support import Support
from yamori.testing.conformance.contract import Contract, assert_explained, need, present
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.values import assert_ours


class Listener:
    """Watches in the background and keeps what it is told."""

    def __init__(self, changes: Changes) -> None:
        self.heard: list[Change] = []
        self.task = asyncio.create_task(self._listen(changes.watch()))

    async def _listen(self, changes: AsyncIterator[Change]) -> None:
        async for change in changes:
            self.heard.append(change)

    async def stop(self) -> None:
        """Stop listening."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unreachable):
            await self.task

    def kinds(self, vm: VMId) -> list[ChangeKind]:
        """Return the kinds told of one VM, each run of equal ones once: at least once is allowed to repeat."""
        kinds = [change.kind for change in self.heard if change.vm == vm]
        return [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] is not kind]


class ChangesContract(Contract):
    """Lifecycle and configuration events. Pausing and resuming the VM is what makes something happen."""

    feature: ClassVar[str] = "changes"

    async def test_absence_is_explained_and_presence_is_claimed(self, session: Session, support: Support) -> None:
        if session.sensing.changes is None:
            assert_explained(support.cells["changes"], "changes")
        else:
            assert present(support, "changes")

    async def _begin(self, session: Session, support: Support, eventually: Eventually) -> Listener:
        need(support, "changes")
        need(support, "power")
        assert session.sensing.changes is not None
        listener = Listener(session.sensing.changes)
        await eventually.moment()
        await eventually.moment()
        return listener

    async def _pause_and_resume(self, session: Session, vm: VMId) -> None:
        assert session.acting.power is not None
        await session.acting.power.pause(vm)
        await session.acting.power.resume(vm)

    async def test_what_happens_is_told_in_order(
        self, session: Session, support: Support, vm: VMId, eventually: Eventually
    ) -> None:
        listener = await self._begin(session, support, eventually)
        try:
            for _ in range(3):
                await self._pause_and_resume(session, vm)
            wanted = [ChangeKind.PAUSED, ChangeKind.RESUMED] * 3

            async def told() -> bool:
                kinds = listener.kinds(vm)
                return [k for k in kinds if k in (ChangeKind.PAUSED, ChangeKind.RESUMED)] == wanted

            await eventually(told, f"{wanted} was told")
        finally:
            await listener.stop()

    async def test_a_change_says_where_and_when(
        self, session: Session, support: Support, vm: VMId, eventually: Eventually
    ) -> None:
        listener = await self._begin(session, support, eventually)
        try:
            await self._pause_and_resume(session, vm)

            async def told() -> bool:
                return bool(listener.kinds(vm))

            await eventually(told, "a change was told")
            host = (await session.sensing.inventory.vm(vm)).host
            for change in listener.heard:
                assert_ours(change, "change")
                assert change.vm != vm or change.host == host
        finally:
            await listener.stop()

    async def test_two_who_watch_are_both_told_and_one_who_leaves_disturbs_nobody(
        self, session: Session, support: Support, vm: VMId, eventually: Eventually
    ) -> None:
        stays = await self._begin(session, support, eventually)
        leaves = await self._begin(session, support, eventually)
        try:
            await self._pause_and_resume(session, vm)

            async def both() -> bool:
                return all(ChangeKind.RESUMED in each.kinds(vm) for each in (stays, leaves))

            await eventually(both, "both were told")
            await leaves.stop()
            before = len(stays.heard)
            await self._pause_and_resume(session, vm)

            async def more() -> bool:
                return len(stays.heard) >= before + 2

            await eventually(more, "the one who stayed was told on")
        finally:
            await leaves.stop()
            await stays.stop()

    async def test_closing_the_session_ends_the_watch(
        self, session: Session, support: Support, eventually: Eventually
    ) -> None:
        listener = await self._begin(session, support, eventually)
        try:
            await session.close()

            async def ended() -> bool:
                return listener.task.done()

            await eventually(ended, "the watch ended after close")
            with contextlib.suppress(Unreachable):
                await listener.task
        finally:
            await listener.stop()

    async def test_watching_a_closed_session_is_unreachable(self, session: Session, support: Support) -> None:
        need(support, "changes")
        assert session.sensing.changes is not None
        await session.close()
        with pytest.raises((Unreachable, StopAsyncIteration)):
            await asyncio.wait_for(anext(session.sensing.changes.watch()), timeout=60)
