"""The moves away from one endpoint, followed to their end; an outage of the link is waited through."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import libvirt

from yamori.drivers.libvirt.changes import LibvirtChanges
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.listing import find, read_definition
from yamori.drivers.libvirt.moves import Move, MoveWay, is_outgoing, progress_of
from yamori.drivers.libvirt.translate import MOVE_NAMESPACE
from yamori.drivers.libvirt.words import clean
from yamori.model.errors import (
    Conflict,
    Interrupted,
    Invalid,
    NotFound,
    Rejected,
    TimedOut,
    Unreachable,
    YamoriError,
)
from yamori.model.ids import VMId
from yamori.model.migration import MigrationPhase

T = TypeVar("T")

POLL_SECONDS = 0.25
_BROKEN_REASONS = (libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
_PAUSED_HERE = (
    "the move broke and the VM is paused here: resume it here only once it is certain that it does not run there"
)


class Moves:
    """The moves away from one endpoint: those of this process, and those that it finds under way."""

    def __init__(self, connection: Connection, changes: LibvirtChanges, way: MoveWay) -> None:
        self._connection = connection
        self._way = way
        self._changes = changes
        self._moves: dict[VMId, Move] = {}

    def note(self, key: str) -> str:
        """What is noted on the VM: a VM that arrived here still bears the note of the move that brought it."""
        return clean(f"{self._connection.endpoint}: {key}", 200)

    def under_way(self, vm: VMId) -> bool:
        """Whether a move that this process knows is under way."""
        move = self._moves.get(vm)
        return move is not None and move.phase is MigrationPhase.RUNNING

    def get(self, vm: VMId) -> Move | None:
        """The last move that this process knows of."""
        return self._moves.get(vm)

    async def known(self, vm: VMId) -> Move | None:
        """The same, or one that is found under way at the hypervisor and followed from now on."""
        move = self._moves.get(vm)
        if move is not None and move.phase is MigrationPhase.RUNNING:
            return move
        try:
            job = await self._job(vm)
        except NotFound:
            return move
        if is_outgoing(job):
            key = await self._noted_key(vm)
            found = self._moves.get(vm)
            if found is None or found.phase is not MigrationPhase.RUNNING:
                self.follow(Move(vm=vm, key=key, encrypted=key is not None or None, progress=progress_of(job)))
            return self._moves[vm]
        return move

    def follow(self, move: Move) -> None:
        """Watch a move that somebody else performs until it has ended."""
        self._moves[move.vm] = move
        move.task = asyncio.create_task(self._until_settled(move))

    async def begin(self, move: Move, act: Callable[[Any], None]) -> None:
        """Perform a move; return once it is under way. Raises what ended it before that."""
        before = self._moves.get(move.vm)
        self._moves[move.vm] = move
        move.task = asyncio.create_task(self._perform(move, act))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._connection.settings.timeouts.act_s
        while not move.task.done() and loop.time() < deadline:
            with contextlib.suppress(YamoriError):
                if is_outgoing(await self._job(move.vm)):
                    return
            await asyncio.wait({move.task}, timeout=POLL_SECONDS / 5)
        if move.task.done() and move.error is not None and move.phase is MigrationPhase.FAILED:
            if before is None:
                del self._moves[move.vm]
            else:
                self._moves[move.vm] = before
            raise move.error

    async def look(self, move: Move) -> None:
        """Bring the progress up to date."""
        with contextlib.suppress(NotFound):
            job = await self._job(move.vm)
            if is_outgoing(job):
                move.progress = progress_of(job) or move.progress

    async def stop(self, move: Move) -> None:
        """Abort until the move has ended, one way or the other. Raises TimedOut."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._connection.settings.timeouts.act_s
        while move.phase is MigrationPhase.RUNNING:
            move.cancelling = True
            with contextlib.suppress(Conflict, NotFound, Rejected):
                await self._ask(move, lambda link: _abort(link, move.vm))
            if move.task is not None:
                await asyncio.wait({move.task}, timeout=POLL_SECONDS)
            if loop.time() > deadline:
                raise TimedOut("the move did not stop in time", subject=move.vm)

    def close(self) -> None:
        """Stop following; the moves go on."""
        for move in self._moves.values():
            if move.task is not None:
                move.task.cancel()

    async def _perform(self, move: Move, act: Callable[[Any], None]) -> None:
        watcher = asyncio.create_task(self._watch_progress(move))
        try:
            await self._connection.call_unlimited(act, capability="migration", subject=move.vm)
        except Unreachable:
            await self._until_settled(move)
        except YamoriError as error:
            await self._settle_failed(move, error)
        else:
            move.phase = MigrationPhase.SUCCEEDED
        finally:
            watcher.cancel()

    async def _watch_progress(self, move: Move) -> None:
        while True:
            await asyncio.sleep(2 * POLL_SECONDS)
            with contextlib.suppress(YamoriError):
                await self.look(move)

    async def _settle_failed(self, move: Move, error: YamoriError) -> None:
        """libvirt says that the move failed; see what is left here."""
        with contextlib.suppress(YamoriError):
            state, reason = await self._ask(move, lambda link: find(link, move.vm).state()[:2])
            await self._ask(move, lambda link: _clear_mark(link, move.vm))
            if state == libvirt.VIR_DOMAIN_PAUSED and reason in _BROKEN_REASONS:
                error = Interrupted(f"{_PAUSED_HERE}: {error.message}", subject=move.vm)
        move.error = error
        move.phase = MigrationPhase.CANCELLED if move.cancelling else MigrationPhase.FAILED

    async def _until_settled(self, move: Move) -> None:
        """Ask the hypervisor until the move has ended; an outage is waited through."""
        while True:
            try:
                job = await self._job(move.vm)
            except NotFound:
                move.phase = MigrationPhase.SUCCEEDED
                return
            except YamoriError:
                await asyncio.sleep(2 * POLL_SECONDS)
                continue
            if not is_outgoing(job):
                break
            move.progress = progress_of(job) or move.progress
            await asyncio.sleep(POLL_SECONDS)
        if await self._has_left(move.vm):
            move.phase = MigrationPhase.SUCCEEDED
        else:
            await self._settle_failed(move, Rejected("the move ended without moving the VM", subject=move.vm))

    async def _has_left(self, vm: VMId) -> bool:
        if self._changes.left(vm):
            return True
        try:
            state, reason = await self._connection.call(
                lambda link: find(link, vm).state()[:2], capability="migration", subject=vm
            )
        except NotFound:
            return True
        return bool(state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED)

    async def _ask(self, move: Move, job: Callable[[Any], T]) -> T:
        return await self._connection.call(job, capability="migration", subject=move.vm)

    async def _noted_key(self, vm: VMId) -> str | None:
        """The key that a process of ours noted on the VM when it began the move; such moves are encrypted."""
        try:
            noted = await self._connection.call(
                lambda link: read_definition(find(link, vm), ()).move_key, capability="migration", subject=vm
            )
        except (NotFound, Invalid):
            return None
        return noted if noted is not None and noted.startswith(self.note("").rstrip()) else None

    async def _job(self, vm: VMId) -> Mapping[str, Any]:
        prefix = self.note("").rstrip()
        return await self._connection.call(
            lambda link: self._way.job(find(link, vm), prefix), capability="migration", subject=vm
        )


def _abort(link: Any, vm: VMId) -> None:
    handle = find(link, vm)
    if is_outgoing(handle.jobStats()):
        handle.abortJob()


def _clear_mark(link: Any, vm: VMId) -> None:
    """Take the key off a VM that has stayed."""
    find(link, vm).setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, None, MOVE_NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_LIVE
    )
