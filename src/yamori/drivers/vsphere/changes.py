"""Lifecycle and configuration changes: a thread waits for the server's updates and tells whoever watches."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from pyVmomi import vim, vmodl

from yamori.drivers.vsphere.collector import view_spec
from yamori.drivers.vsphere.connection import Connection
from yamori.drivers.vsphere.failure import FAULTS, TRANSPORT
from yamori.drivers.vsphere.link import Link
from yamori.drivers.vsphere.mirror import PATHS, Happened, Mirror
from yamori.drivers.vsphere.roster import Roster
from yamori.model.change import Change
from yamori.model.errors import Unreachable

_WAIT_S = 20
_GRACE_S = 20
_PAUSE_S = 2.0
_MOST_WAITING = 10_000

Queue = asyncio.Queue[Change | None]
_Collector = vmodl.query.PropertyCollector


class VSphereChanges:
    """Changes of one endpoint. Attaches itself to every new link, whether or not somebody watches."""

    def __init__(self, connection: Connection, roster: Roster) -> None:
        self._connection = connection
        self._roster = roster
        self._loop = asyncio.get_running_loop()
        self._watchers: set[Queue] = set()
        self._collectors: dict[int, Any] = {}
        connection.on_open.append(self._attach)
        connection.before_close.append(self._detach)
        connection.on_lost.append(self._missed)

    async def watch(self) -> AsyncIterator[Change]:
        """Tell changes until closed; ends with Unreachable when some were missed or the reader is too slow."""
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

    def _attach(self, link: Link) -> None:
        """Take what is there now, then wait for more in a thread of its own. Raises faults."""
        collector, mirror, version = self._begin(link)
        name = f"vsphere {self._connection.endpoint} changes"
        threading.Thread(
            target=self._wait, args=(link, collector, mirror, version), name=name, daemon=True
        ).start()

    def _detach(self, link: Link) -> None:
        collector = self._collectors.pop(id(link), None)
        if collector is not None:
            collector.CancelWaitForUpdates()

    def _begin(self, link: Link) -> tuple[Any, Mirror, str]:
        collector = link.content.propertyCollector.CreatePropertyCollector()
        collector.CreateFilter(spec=view_spec(link, {vim.VirtualMachine: PATHS}), partialUpdates=False)
        mirror = Mirror()
        version = ""
        first = collector.WaitForUpdatesEx(version, _Collector.WaitOptions(maxWaitSeconds=0))
        while first is not None:
            mirror.begin(first)
            version = str(first.version)
            if first.truncated is not True:
                break
            first = collector.WaitForUpdatesEx(version, _Collector.WaitOptions(maxWaitSeconds=0))
        self._collectors = {id(link): collector}
        return collector, mirror, version

    def _wait(self, link: Link, collector: Any, mirror: Mirror, version: str) -> None:
        """Runs in its thread for as long as the link lives; begins anew after a failure that the link survives."""
        while not link.wire.closed:
            try:
                options = _Collector.WaitOptions(maxWaitSeconds=_WAIT_S)
                with link.wire.within(_WAIT_S + _GRACE_S):
                    update = collector.WaitForUpdatesEx(version, options)
                    if update is not None:
                        version = str(update.version)
                        self._hand_over(link, mirror.take(update))
            except (*FAULTS, *TRANSPORT) as error:
                heard = self._in_loop(self._failed, link, error)
                if not heard:
                    return
                time.sleep(_PAUSE_S)
                with contextlib.suppress(*FAULTS, *TRANSPORT), link.wire.within(_GRACE_S):
                    collector, mirror, version = self._begin(link)

    def _hand_over(self, link: Link, happened: list[Happened]) -> None:
        at = datetime.now(UTC)
        for each in happened:
            host = self._roster.host(link, each.host)
            if host is not None:
                self._in_loop(self._tell, Change(vm=each.vm, host=host, kind=each.kind, at=at))

    def _in_loop(self, job: Any, *arguments: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(job, *arguments)
        except RuntimeError:  # our event loop is gone: nobody is left to be told
            return False
        return True

    def _failed(self, link: Link, error: BaseException) -> None:
        self._missed()
        self._connection.lose(link, error)

    def _tell(self, change: Change) -> None:
        for queue in list(self._watchers):
            if queue.full():
                self._end(queue)
            else:
                queue.put_nowait(change)

    def _missed(self) -> None:
        for queue in list(self._watchers):
            self._end(queue)

    def _end(self, queue: Queue) -> None:
        """Have the reader end at once: what waits would be followed by a gap."""
        self._watchers.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
