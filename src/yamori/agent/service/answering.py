"""What the controller may ask of this host, answered by the host's own session."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from yamori.agent.protocol.calls import CallName, Carried, Nothing, OfVM, Pin, SetLimits, Start, taken
from yamori.agent.protocol.columns import pack
from yamori.agent.protocol.line import Handler
from yamori.capabilities.acting.limits import LimitsWriter
from yamori.capabilities.acting.migration import Migration
from yamori.capabilities.session import Session
from yamori.model.errors import Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, StorageMode
from yamori.model.plain import to_plain

_NO_PASSAGE = "the agent carries no memory on this host"
_HERE, _THERE = HostId("here"), HostId("there")
"""What the agent calls hosts where only their addresses count."""


class Answering:
    """One handler for each call. ``clock`` names the monotonic clock of this machine."""

    def __init__(self, session: Session, clock: str) -> None:
        self._session = session
        self._clock = clock
        self._acting: set[asyncio.Task[None]] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by the call's name."""
        return {
            CallName.PROBE.value: self._probe,
            CallName.INVENTORY.value: self._inventory,
            CallName.VM.value: self._vm,
            CallName.USAGE.value: self._usage,
            CallName.LIMITS.value: self._limits,
            CallName.SET_LIMITS.value: self._set_limits,
            CallName.PIN.value: self._pin,
            CallName.LANDING.value: self._landing,
            CallName.START.value: self._start,
            CallName.STATUS.value: self._status,
            CallName.CANCEL.value: self._cancel,
        }

    async def settle(self) -> None:
        """Wait until what was begun has ended."""
        await asyncio.gather(*self._acting, return_exceptions=True)

    async def _probe(self, untrusted_arguments: Any) -> Any:
        taken(Nothing, untrusted_arguments)
        return to_plain(await self._session.probe())

    async def _inventory(self, untrusted_arguments: Any) -> Any:
        taken(Nothing, untrusted_arguments)
        return to_plain(await self._session.sensing.inventory.read())

    async def _vm(self, untrusted_arguments: Any) -> Any:
        wanted = taken(OfVM, untrusted_arguments)
        return to_plain(await self._session.sensing.inventory.vm(VMId(wanted.vm)))

    async def _usage(self, untrusted_arguments: Any) -> Any:
        taken(Nothing, untrusted_arguments)
        usage = self._session.sensing.usage
        if usage is None:
            raise Unsupported("usage", "the agent cannot read it on this host")
        frame = await usage.read()
        return pack(frame, clock=self._clock).model_dump(mode="json")

    async def _limits(self, untrusted_arguments: Any) -> Any:
        wanted = taken(OfVM, untrusted_arguments)
        reader = self._session.sensing.limits
        if reader is None:
            raise Unsupported("limits", "the agent cannot read them on this host", subject=wanted.vm)
        return to_plain(await reader.read(VMId(wanted.vm)))

    async def _set_limits(self, untrusted_arguments: Any) -> None:
        wanted = taken(SetLimits, untrusted_arguments)
        writer = self._writer(wanted.vm)
        await self._whole(writer.set(VMId(wanted.vm), wanted.limits, lapse_s=wanted.lapse_s))

    async def _pin(self, untrusted_arguments: Any) -> None:
        wanted = taken(Pin, untrusted_arguments)
        cpus = None if wanted.cpus is None else frozenset(wanted.cpus)
        await self._whole(self._writer(wanted.vm).pin(VMId(wanted.vm), cpus))

    def _writer(self, vm: str) -> LimitsWriter:
        writer = self._session.acting.limits
        if writer is None:
            raise Unsupported("limits", "the agent cannot set them on this host", subject=vm)
        return writer

    async def _landing(self, untrusted_arguments: Any) -> Any:
        wanted = taken(OfVM, untrusted_arguments)
        landing = await self._mover(wanted.vm).landing(VMId(wanted.vm), _HERE)
        return {"address": landing.address}

    async def _start(self, untrusted_arguments: Any) -> None:
        wanted = taken(Start, untrusted_arguments)
        landing = Landing(host=_THERE, family="", uri="", address=wanted.address, tls_name=None)
        begun = self._mover(wanted.vm).start(
            VMId(wanted.vm),
            landing,
            storage=StorageMode.SHARED,
            bandwidth_bytes_s=wanted.bandwidth_bytes_s,
            key=wanted.key,
        )
        await self._whole(begun)

    async def _status(self, untrusted_arguments: Any) -> Any:
        wanted = taken(OfVM, untrusted_arguments)
        watch = self._session.sensing.migration
        if watch is None:
            raise Unsupported("migration", _NO_PASSAGE, subject=wanted.vm)
        status = await watch.status(VMId(wanted.vm))
        if status is None:
            return None
        told = {"phase": status.phase.value, "processed_bytes": status.processed_bytes, "error": status.error}
        return taken(Carried, told).model_dump(mode="json")

    async def _cancel(self, untrusted_arguments: Any) -> None:
        wanted = taken(OfVM, untrusted_arguments)
        await self._whole(self._mover(wanted.vm).cancel(VMId(wanted.vm)))

    def _mover(self, vm: str) -> Migration:
        mover = self._session.acting.migration
        if mover is None:
            raise Unsupported("migration", _NO_PASSAGE, subject=vm)
        return mover

    async def _whole(self, act: Awaitable[None]) -> None:
        """Carry out a change to its end, even if the controller is gone before: half a change is worse."""

        async def work() -> None:
            await act

        task = asyncio.create_task(work())
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        await asyncio.shield(task)
