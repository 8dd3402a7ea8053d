"""Moves, encrypted always: libvirt moves the VM from daemon to daemon, this file starts, follows, stops it.

Who runs when something breaks is libvirt's decision; docs/decisions/0006-libvirt-driver.md says what it decides.
"""

import asyncio
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import libvirt

from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.following import POLL_SECONDS, Moves
from yamori.drivers.libvirt.listing import find
from yamori.drivers.libvirt.moves import Move, MoveWay, perform
from yamori.model.errors import (
    Conflict,
    Invalid,
    NotFound,
    Unreachable,
    Unsupported,
)
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode

_COPIED, _CANCEL, _BANDWIDTH = "migration.copied_storage", "migration.cancel", "migration.bandwidth"


class LibvirtMigrationWatch:
    """How moves away from here would go, and where they stand."""

    def __init__(self, connection: Connection, host: HostId, way: MoveWay, moves: Moves) -> None:
        self._connection = connection
        self._host = host
        self._way = way
        self._moves = moves

    async def forecast(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None
    ) -> Forecast:
        """As source: say how the VM would move there."""
        del storage  # disks are copied while the VM runs, wherever they can be copied
        check_landing(self._connection, self._host, vm, landing, bandwidth_bytes_s)
        return await self._connection.call(
            lambda link: self._way.forecast(link, vm, bandwidth_bytes_s=bandwidth_bytes_s),
            capability="migration",
            subject=vm,
        )

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the last move stands that this process knows, or one that the hypervisor has under way."""
        move = await self._moves.known(vm)
        if move is None:
            return None
        if move.phase is MigrationPhase.RUNNING:
            await self._moves.look(move)
        return move.status()


class LibvirtMigration:
    """Moves away from here, and landings here."""

    def __init__(
        self, connection: Connection, host: HostId, way: MoveWay, moves: Moves, absences: Absences
    ) -> None:
        self._connection = connection
        self._way = way
        self._host = host
        self._moves = moves
        self._absences = absences
        self._starting: WeakValueDictionary[VMId, asyncio.Lock] = WeakValueDictionary()

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """As destination: say how the VM may land here. Raises Conflict if it runs here already."""
        if host != self._host:
            raise Invalid(f"this endpoint is the host {self._host}, not {host}", subject=vm)
        if await self._connection.call(
            partial(_is_here, vm=vm, way=self._way), capability="migration", subject=vm
        ):
            raise Conflict("the VM runs here already", subject=vm)
        settings = self._connection.settings
        given = settings.migrate_to
        return Landing(
            host=self._host,
            family=settings.dialect.family,
            uri=settings.landing_uri,
            address=self._way.address(),
            tls_name=None if given is None else given.tls_name,
        )

    async def start(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        stopping: bool = False,
    ) -> None:
        """As source: begin the move and return once libvirt has it under way; what fails before that is raised."""
        lock = self._starting.setdefault(vm, asyncio.Lock())
        note = self._moves.note(key)
        async with lock:
            known = self._moves.get(vm)
            if known is not None and known.key == note:
                return
            check_landing(self._connection, self._host, vm, landing, bandwidth_bytes_s)
            self._check(vm, storage, bandwidth_bytes_s)
            if known is not None and known.phase is MigrationPhase.RUNNING:
                raise Conflict("the VM is being moved already", subject=vm)
            request = await self._connection.call(
                lambda link: self._way.prepare(
                    link,
                    vm,
                    landing,
                    storage=storage,
                    bandwidth_bytes_s=bandwidth_bytes_s,
                    key=note,
                    stopping=stopping,
                ),
                capability="migration",
                subject=vm,
                seconds=self._connection.settings.timeouts.act_s,
            )
            move = Move(vm=vm, key=note, encrypted=True)
            if request is None:
                self._moves.follow(move)
                return
            await self._moves.begin(move, partial(perform, vm=vm, request=request))

    async def wait(self, vm: VMId) -> MigrationStatus:
        """As source: wait for the end. Raises Unreachable when the link breaks meanwhile: the move may go on."""
        move = await self._moves.known(vm)
        if move is None:
            raise NotFound("no move of this VM away from here is known", subject=vm)
        while move.task is not None and not move.task.done():
            await asyncio.wait({move.task}, timeout=POLL_SECONDS)
            if not move.task.done() and not self._connection.is_open:
                raise Unreachable("the link broke; the move may go on", subject=self._connection.endpoint)
        return move.status()

    async def cancel(self, vm: VMId) -> None:
        """As source: stop the move and wait until it has ended; nothing to do when none is under way."""
        move = await self._moves.known(vm)
        if move is None:
            await self._connection.call(lambda link: find(link, vm).name(), capability="migration", subject=vm)
            return
        absent = self._absences.why(_CANCEL)
        if absent is not None and move.phase is MigrationPhase.RUNNING:
            raise Unsupported(_CANCEL, absent, subject=vm)
        await self._moves.stop(move)

    def _check(self, vm: VMId, storage: StorageMode, bandwidth_bytes_s: int | None) -> None:
        asked = {_COPIED: storage is StorageMode.COPIED, _BANDWIDTH: bandwidth_bytes_s is not None}
        for feature, wanted in asked.items():
            absent = self._absences.why(feature)
            if wanted and absent is not None:
                raise Unsupported(feature, absent, subject=vm)


def check_landing(
    connection: Connection, host: HostId, vm: VMId, landing: Landing, bandwidth_bytes_s: int | None
) -> None:
    """Raise Invalid where a VM of this host cannot land, and for a bandwidth without sense."""
    family = connection.settings.dialect.family
    if landing.family != family:
        raise Invalid(f"a VM of family {family} cannot land at {landing.family}", subject=vm)
    if landing.host == host or landing.uri == connection.settings.landing_uri:
        raise Invalid("the VM is on that host already", subject=vm)
    if bandwidth_bytes_s is not None and bandwidth_bytes_s <= 0:
        raise Invalid("the bandwidth must be above 0 B/s", subject=vm)


def _is_here(link: Any, vm: VMId, way: MoveWay) -> bool:
    """Whether a copy of the VM executes here, or could be made to: one that is still arriving does not count."""
    try:
        handle = find(link, vm)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return bool(handle.isActive()) and not way.is_arriving(handle)
