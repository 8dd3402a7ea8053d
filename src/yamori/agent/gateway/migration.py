"""The memory of moving VMs, as the agents of both hosts carry it. What moves a VM is the hypervisor."""

import asyncio
from typing import Any, NoReturn

from yamori.agent.gateway.asking import Asking, named, nothing
from yamori.agent.gateway.translate import carried_of
from yamori.agent.protocol.calls import ACT_S, CallName, Landed, Start, taken
from yamori.model.errors import Invalid, NotFound, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode

POLL_S = 1.0


class RemoteMigration:
    """Fulfils ``Migration`` and ``MigrationWatch`` for the memory stream alone."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """Have the agent await the VM's memory; only the address of the landing is known here."""
        if host != self._asking.host:
            raise Invalid(f"this agent is on the host {self._asking.host}, not on {host}", subject=vm)

        def read(untrusted_value: Any) -> Landing:
            address = taken(Landed, untrusted_value).address
            return Landing(host=host, family="", uri="", address=address, tls_name=None)

        return await self._asking.ask(CallName.LANDING, {"vm": named(vm)}, read, timeout_s=ACT_S)

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
        """Have the agent let one stream through, to the landing's address and nowhere else."""
        asked = {
            "vm": named(vm),
            "address": landing.address,
            "bandwidth_bytes_s": bandwidth_bytes_s,
            "key": key,
        }
        await self._asking.ask(
            CallName.START, taken(Start, asked).model_dump(mode="json"), nothing, timeout_s=ACT_S
        )

    async def wait(self, vm: VMId) -> MigrationStatus:
        """Wait for the end of the stream. Raises NotFound, Unreachable."""
        while True:
            status = await self.status(vm)
            if status is None:
                raise NotFound("no memory of this VM was sent from here", subject=vm)
            if status.phase is not MigrationPhase.RUNNING:
                return status
            await asyncio.sleep(POLL_S)

    async def cancel(self, vm: VMId) -> None:
        """Have the agent break the stream off. Idempotent."""
        await self._asking.ask(CallName.CANCEL, {"vm": named(vm)}, nothing, timeout_s=ACT_S)

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return how far the last stream of a VM is, None where there was none."""
        return await self._asking.ask(CallName.STATUS, {"vm": named(vm)}, lambda told: carried_of(told, vm))

    async def forecast(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
    ) -> NoReturn:
        """Not the agent's to say: raises Unsupported."""
        raise Unsupported(
            "migration.live", "the agent carries the memory; the hypervisor moves the VM", subject=vm
        )
