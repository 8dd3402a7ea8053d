"""Lifecycle and configuration events, from libvirt's event thread to whoever watches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import libvirt

from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.translate import vm_id
from yamori.model.change import Change, ChangeKind
from yamori.model.errors import Unreachable
from yamori.model.ids import HostId, VMId

_MOST_WAITING = 10_000
_MOST_DEPARTED = 4096

_KINDS: dict[int, ChangeKind] = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: ChangeKind.DEFINED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: ChangeKind.UNDEFINED,
    libvirt.VIR_DOMAIN_EVENT_STARTED: ChangeKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: ChangeKind.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: ChangeKind.RESUMED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: ChangeKind.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: ChangeKind.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: ChangeKind.CRASHED,
}
_BY_DETAIL: dict[tuple[int, int], ChangeKind] = {
    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED): ChangeKind.MIGRATED_IN,
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_MIGRATED): ChangeKind.MIGRATED_IN,
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED): ChangeKind.MIGRATED_OUT,
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED): ChangeKind.CRASHED,
}
_RECONFIGURING = (
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
    libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE,
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
)

Queue = asyncio.Queue[Change | None]


class LibvirtChanges:
    """Events of one endpoint. Attaches itself to every new link, whether or not somebody watches."""

    def __init__(self, connection: Connection, host: HostId, forget: Callable[[VMId | None], None]) -> None:
        self._connection = connection
        self._host = host
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._watchers: set[Queue] = set()
        self._registered: dict[int, list[int]] = {}
        self._departed: dict[VMId, None] = {}
        connection.on_open.append(self._attach)
        connection.before_close.append(self._detach)
        connection.on_lost.append(self._lost)

    async def watch(self) -> AsyncIterator[Change]:
        """Tell changes until closed; ends with Unreachable when the link is lost or the reader is too slow."""
        queue: Queue = asyncio.Queue(_MOST_WAITING)
        self._watchers.add(queue)
        try:
            await self._connection.call(lambda _link: None, capability="changes")
            while True:
                change = await queue.get()
                if change is None:
                    raise Unreachable("changes were missed: list afresh", subject=self._connection.endpoint)
                yield change
        finally:
            self._watchers.discard(queue)

    def left(self, vm: VMId) -> bool:
        """Whether this VM was seen to leave by a move, and not to come back."""
        return vm in self._departed

    def reconfigured_by_us(self, vm: VMId) -> None:
        """Tell a change of ours where the family's libvirt tells no such thing; what others do is seen later."""
        if not self._connection.settings.dialect.tells_tuning:
            self._tell(Change(vm=vm, host=self._host, kind=ChangeKind.RECONFIGURED, at=datetime.now(UTC)))

    def _attach(self, link: Any) -> None:
        """Register for events; runs in a worker thread. What a family does not tell is left out."""
        ids = [link.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None)]
        self._registered[id(link)] = ids
        for event in _RECONFIGURING:
            try:
                ids.append(link.domainEventRegisterAny(None, event, self._reconfigured, None))
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                    raise
        self._loop.call_soon_threadsafe(self._forget, None)

    def _detach(self, link: Any) -> None:
        for number in self._registered.pop(id(link), []):
            with contextlib.suppress(libvirt.libvirtError):
                link.domainEventDeregisterAny(number)

    def _lifecycle(self, _link: Any, domain: Any, event: int, detail: int, _opaque: object) -> None:
        """Runs in libvirt's event thread; so does the next."""
        kind = _BY_DETAIL.get((event, detail)) or _KINDS.get(event)
        if kind is not None:
            self._hand_over(domain, kind)

    def _reconfigured(self, _link: Any, domain: Any, *_details: object) -> None:
        self._hand_over(domain, ChangeKind.RECONFIGURED)

    def _hand_over(self, domain: Any, kind: ChangeKind) -> None:
        vm = vm_id(domain.UUIDString())
        if vm is None:
            return
        change = Change(vm=vm, host=self._host, kind=kind, at=datetime.now(UTC))
        with contextlib.suppress(RuntimeError):  # our event loop is gone: nobody is left to be told
            self._loop.call_soon_threadsafe(self._tell, change)

    def _tell(self, change: Change) -> None:
        self._forget(change.vm)
        self._note_departure(change)
        for queue in list(self._watchers):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(change)

    def _note_departure(self, change: Change) -> None:
        if change.kind is ChangeKind.MIGRATED_OUT:
            self._departed[change.vm] = None
            while len(self._departed) > _MOST_DEPARTED:
                self._departed.pop(next(iter(self._departed)))
        elif change.kind in {ChangeKind.STARTED, ChangeKind.MIGRATED_IN, ChangeKind.RESUMED}:
            self._departed.pop(change.vm, None)

    def _lost(self) -> None:
        self._forget(None)
        for queue in list(self._watchers):
            self._end(queue)

    def _end(self, queue: Queue) -> None:
        """Have the reader end at once: what waits would be followed by a gap."""
        self._watchers.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
