"""Moves of VMs whose hypervisor sends their memory in plaintext: it moves them, the agents carry the memory."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.sensing.migration import MigrationWatch
from yamori.model.errors import TimedOut, YamoriError
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Forecast, Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.support import Cell, Level

log = logging.getLogger(__name__)

STOP_S = 180.0
"""So long a hypervisor may take to notice that the memory does not arrive, and to go on at the source."""
_OURS = ("migration.live", "migration.encrypted", "migration.cancel", "migration.bandwidth")
"""What there is only if the agent carries; that disks are copied is the hypervisor's."""


_UNTOLD = Cell(level=Level.UNKNOWN, reason="the agent does not say")


class JoinedMigration:
    """Fulfils ``Migration`` and ``MigrationWatch``. How a move stands is always the hypervisor's word."""

    def __init__(
        self, native: Migration, native_watch: MigrationWatch, agent: Migration, agent_watch: MigrationWatch
    ) -> None:
        self._native = native
        self._native_watch = native_watch
        self._agent = agent
        self._agent_watch = agent_watch

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """As destination: where the hypervisor takes the VM, and where the agent awaits its memory."""
        landing = await self._native.landing(vm, host)
        return replace(landing, address=(await self._agent.landing(vm, host)).address)

    async def forecast(
        self, vm: VMId, landing: Landing, *, storage: StorageMode, bandwidth_bytes_s: int | None
    ) -> Forecast:
        """As source: what the hypervisor says."""
        return await self._native_watch.forecast(vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s)

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
        """As source: have the agent let the memory through, with the bandwidth; then begin the move."""
        known = await self._native_watch.status(vm)
        if known is None or known.phase is not MigrationPhase.RUNNING:
            # The agent first: where it is away, or knows no way there, nothing has begun.
            await self._agent.start(
                vm, landing, storage=storage, bandwidth_bytes_s=bandwidth_bytes_s, key=key, stopping=stopping
            )
        try:
            await self._native.start(
                vm, landing, storage=storage, bandwidth_bytes_s=None, key=key, stopping=stopping
            )
        except YamoriError:
            await self._withdraw(vm)
            raise

    async def wait(self, vm: VMId) -> MigrationStatus:
        """As source: wait for the end of the move."""
        return await self._with_agent(await self._native.wait(vm))

    async def cancel(self, vm: VMId) -> None:
        """As source: break the memory's way off, and wait until the hypervisor goes on here."""
        known = await self._native_watch.status(vm)
        if known is None or known.phase is not MigrationPhase.RUNNING:
            await self._native.cancel(vm)
            return
        await self._agent.cancel(vm)
        try:
            async with asyncio.timeout(STOP_S):
                await self._native.wait(vm)
        except TimeoutError:
            raise TimedOut("the move did not stop in time", subject=vm) from None

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return where the move stands, with the bytes that the agent has carried."""
        known = await self._native_watch.status(vm)
        return None if known is None else await self._with_agent(known)

    async def _with_agent(self, known: MigrationStatus) -> MigrationStatus:
        """Add what the agent knows. While it is away, how far the move is and who broke it off is not known."""
        try:
            carried = await self._agent_watch.status(known.vm)
        except YamoriError as error:
            log.info("the agent does not tell how far VM %s is: %s", known.vm, error)
            return known
        if carried is None:
            return known
        known = replace(known, processed_bytes=carried.processed_bytes)
        if known.phase is not MigrationPhase.FAILED:
            return known
        if carried.phase is MigrationPhase.CANCELLED:
            return replace(known, phase=MigrationPhase.CANCELLED)
        if carried.error:
            return replace(known, error=f"{known.error}; on the way: {carried.error}"[:400])
        return known

    async def _withdraw(self, vm: VMId) -> None:
        """No move has begun: let nothing through, unless one that the hypervisor does have needs it."""
        try:
            known = await self._native_watch.status(vm)
            if known is None or known.phase is not MigrationPhase.RUNNING:
                await self._agent.cancel(vm)
        except YamoriError as error:
            log.warning("what was announced for VM %s stays open for a while: %s", vm, error)


def moving(
    native: Mapping[str, Cell], agent: Mapping[str, Cell], *, away: YamoriError | None = None
) -> dict[str, Cell]:
    """Return the rows of moves that the agent decides on, where it must carry the memory.

    ``agent`` is what it said when it was last asked, ``away`` why it cannot be asked now.
    """
    cells = {}
    for row in _OURS:
        told = agent.get(row, _UNTOLD)
        if told.level is Level.NONE:
            told = replace(told, reason=f"{native[row].reason}; the agent: {told.reason}"[:400])
        elif away is not None:
            told = replace(_UNTOLD, reason=f"the agent on the host cannot be asked: {away.message}"[:400])
        cells[row] = told
    return cells
