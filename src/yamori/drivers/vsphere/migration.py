"""Moves between the hosts of one server. Encryption is required on the VM and read back before anything moves."""

import asyncio
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from yamori.drivers.vsphere.absence import Absences
from yamori.drivers.vsphere.collector import Found, one
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.failure import text_of
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.moves import (
    FAMILY,
    PATHS,
    REQUIRED,
    Move,
    host_in,
    noted_key,
    preparation,
    prove,
    specification,
    under_way,
    uri_of,
)
from yamori.drivers.vsphere.roster import Roster
from yamori.drivers.vsphere.tasks import carry_out, raise_for, standing
from yamori.drivers.vsphere.translate import host_key, is_template, state_of
from yamori.drivers.vsphere.words import clean
from yamori.model.errors import Conflict, Invalid, NotFound, TimedOut, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.vm import PowerState

_POLL_S = 0.5
_WORD = "migration"
_NO_AIM = "vSphere does not tell which pause it aims at"


class Moves:
    """The moves of one endpoint's VMs: those that this process began, and those that it finds under way."""

    def __init__(self, connection: Connection, roster: Roster) -> None:
        self._connection = connection
        self._roster = roster
        self.known: dict[VMId, Move] = {}

    async def look(self, vm: VMId) -> Move | None:
        """The VM's last move as it stands now; one that somebody else began is found as well."""
        move = self.known.get(vm)
        if move is not None and move.phase is not MigrationPhase.RUNNING:
            move = None
        if move is None:
            found = await self._connection.call(lambda link: self._find(link, vm), capability=_WORD, subject=vm)
            if found is None:
                return self.known.get(vm)
            move = self.known[vm] = found
        task = move.task
        now = await self._connection.call(
            lambda link: standing(link, link.here(task)), capability=_WORD, subject=vm
        )
        move.take(now, None if now.error is None else text_of(now.error))
        return move

    def _find(self, link: Link, vm: VMId) -> Move | None:
        found = read(link, self._roster.find(link, vm, to_act=False), vm)
        task = under_way(link, found)
        if task is None:
            return None
        required = found.values.get("config.migrateEncryption") == REQUIRED
        return Move(vm=vm, key=noted_key(found), task=task, encrypted=True if required else None)


class VSphereMigrationWatch:
    """How moves would go, and where they stand."""

    def __init__(self, connection: Connection, roster: Roster, moves: Moves) -> None:
        self._connection = connection
        self._roster = roster
        self._moves = moves

    async def forecast(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None
    ) -> Forecast:
        """As source: say how the VM would move there: live, always."""
        del storage  # disks are copied while the VM runs
        check_landing(vm, landing, bandwidth_bytes_s)
        await self._connection.call(
            lambda link: away(link, self._roster.find(link, vm, to_act=False), vm, landing),
            capability=_WORD,
            subject=vm,
        )
        return Forecast(live=True, downtime_s=None, why=_NO_AIM)

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the last move stands that this process knows, or one that the server has under way."""
        move = await self._moves.look(vm)
        return None if move is None else move.status()


class VSphereMigration:
    """Moves and landings."""

    def __init__(self, connection: Connection, roster: Roster, moves: Moves, absences: Absences) -> None:
        self._connection = connection
        self._roster = roster
        self._moves = moves
        self._absences = absences
        self._turns: WeakValueDictionary[VMId, asyncio.Lock] = WeakValueDictionary()

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """As destination: say how the VM may land on one of our hosts. Raises Conflict if it is there."""

        def job(link: Link) -> Landing:
            ref = self._roster.host_refs.get(host)
            if ref is None:
                raise Invalid("this host is none of the endpoint's", subject=host)
            try:
                found = read(link, self._roster.find(link, vm, to_act=True), vm)
            except NotFound:
                pass  # it comes from elsewhere; whether that is possible is the source's to say
            else:
                if host_key(found) == ref._moId:
                    raise Conflict("the VM runs on that host already", subject=vm)
            return Landing(host=host, family=FAMILY, uri=uri_of(link.server_id, ref), address=None, tls_name=None)

        return await self._connection.call(job, capability=_WORD, subject=vm)

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
        """As source: begin the move, return once the server has its task. Raises Unsupported unless encrypted."""
        del stopping  # nothing has to
        check_landing(vm, landing, bandwidth_bytes_s)
        self._check(vm, storage, bandwidth_bytes_s)
        note = clean(f"{self._connection.endpoint}: {key}", 200)
        async with self._turns.setdefault(vm, asyncio.Lock()):
            known = self._moves.known.get(vm)
            if known is not None and known.key == note:
                return
            await self._connection.call(lambda link: self._fit(link, vm, landing), capability=_WORD, subject=vm)
            move = await self._moves.look(vm)
            if move is not None and move.phase is MigrationPhase.RUNNING:
                if move.key == note:
                    return
                raise Conflict("the VM is being moved already", subject=vm)
            await self._require_encryption(vm, note)
            seconds = self._connection.settings.timeouts.act_s
            task = await self._connection.call(
                lambda link: self._relocate(link, vm, landing, storage),
                capability=_WORD,
                subject=vm,
                seconds=seconds,
            )
            self._moves.known[vm] = Move(vm=vm, key=note, task=task, encrypted=True)

    async def wait(self, vm: VMId) -> MigrationStatus:
        """As source: wait for the end of the move and say how it ended."""
        while True:
            move = await self._moves.look(vm)
            if move is None:
                raise NotFound("no move of this VM is known", subject=vm)
            if move.phase is not MigrationPhase.RUNNING:
                return move.status()
            await asyncio.sleep(_POLL_S)

    async def cancel(self, vm: VMId) -> None:
        """As source: stop the move and wait until it has ended; nothing to do when none is under way."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._connection.settings.timeouts.act_s
        while (move := await self._moves.look(vm)) is not None and move.phase is MigrationPhase.RUNNING:
            if loop.time() > deadline:
                raise TimedOut("the move does not end", subject=vm)
            if (why := self._absences.why("migration.cancel")) is not None:
                raise Unsupported("migration.cancel", why, subject=vm)
            move.cancelling = True
            await self._connection.call(partial(_cancel, task=move.task), capability=_WORD, subject=vm)
            await asyncio.sleep(_POLL_S)

    def _check(self, vm: VMId, storage: StorageMode, bandwidth_bytes_s: int | None) -> None:
        features = ["migration.live", "migration.encrypted"]
        if storage is StorageMode.COPIED:
            features.append("migration.copied_storage")
        if bandwidth_bytes_s is not None:
            features.append("migration.bandwidth")
        for feature in features:
            why = self._absences.why(feature)
            if why is not None:
                raise Unsupported(feature, why, subject=vm)

    def _fit(self, link: Link, vm: VMId, landing: Landing) -> None:
        found = away(link, self._roster.find(link, vm, to_act=True), vm, landing)
        if state_of(found) is not PowerState.RUNNING:
            raise Conflict("the VM is not running", subject=vm)

    async def _require_encryption(self, vm: VMId, note: str) -> None:
        """Have the VM's moves require encryption; it stays so. ``prove`` sees later whether it took."""
        fault = await carry_out(
            self._connection,
            lambda link: self._roster.find(link, vm, to_act=True).ReconfigVM_Task(preparation(note)),
            capability="migration.encrypted",
            subject=vm,
        )
        raise_for(self._connection, fault, capability="migration.encrypted", subject=vm)

    def _relocate(self, link: Link, vm: VMId, landing: Landing, storage: StorageMode) -> Any:
        ref = self._roster.find(link, vm, to_act=True)
        found = read(link, ref, vm)
        prove(found.values.get("config.migrateEncryption"), vm)
        running = under_way(link, found)
        if running is not None:  # the answer to an earlier attempt was lost with its session
            return running
        return ref.RelocateVM_Task(spec=specification(link, found, host_in(landing.uri, link), storage))


def check_landing(vm: VMId, landing: Landing, bandwidth_bytes_s: int | None) -> None:
    """Raise Invalid for a landing of another family and for a bandwidth without sense."""
    if landing.family != FAMILY:
        raise Invalid(f"a VM of family {FAMILY} cannot land at {landing.family}", subject=vm)
    if bandwidth_bytes_s is not None and bandwidth_bytes_s <= 0:
        raise Invalid("the bandwidth must be above 0 B/s", subject=vm)


def away(link: Link, ref: Any, vm: VMId, landing: Landing) -> Found:
    """What a move must know of a VM that is not at its landing yet. Raises Invalid, NotFound, faults."""
    found = read(link, ref, vm)
    if host_in(landing.uri, link)._moId == host_key(found):
        raise Invalid("the VM is on that host already", subject=vm)
    return found


def read(link: Link, ref: Any, vm: VMId) -> Found:
    """What a move must know of a VM. Raises NotFound for a template, faults."""
    found = one(link, ref, PATHS)
    if is_template(found):
        raise NotFound("this is a template, not a VM", subject=vm)
    return found


def _cancel(link: Link, task: Any) -> None:
    if not standing(link, link.here(task)).ended:
        link.here(task).CancelTask()
