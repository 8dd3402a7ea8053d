"""What the agent adds to a move: a way for the VM's memory. What moves the VM is the hypervisor.

A stream is carried only if it was announced at both ends: by ``landing`` where it arrives, by ``start`` where it
leaves. Each announcement is good for one stream and a short time.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from yamori.agent.passage.passage import Contexts, Passage
from yamori.agent.passage.settings import LOOPBACK, PassageSettings, PeerSettings
from yamori.agent.passage.stream import Stream
from yamori.model.errors import Busy, Conflict, Invalid, NotFound, Unreachable, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.support import Cell, Level

AWAITED_S = 600.0
"""So long after a landing was asked for the stream may come."""
MOST_STREAMS = 16
"""Streams away from here at once."""
_MOST_REMEMBERED = 256
_ADDRESS = re.compile(rf"(?P<loopback>{LOOPBACK}):(?P<port>[1-9]\d{{3,4}})")
_ROWS = ("migration.live", "migration.encrypted", "migration.cancel", "migration.bandwidth")
_LIVE = "a paravirtual guest stands still while it is sent, and moves if that is allowed"
_HYPERVISORS = "the agent carries the memory; the hypervisor moves the VM"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    vm: VMId
    until: float


class Carrier:
    """Fulfils ``Migration`` and ``MigrationWatch`` for the memory stream alone.

    ``runs`` says whether a VM executes here, and raises NotFound.
    """

    def __init__(
        self, settings: PassageSettings, contexts: Contexts, runs: Callable[[VMId], Awaitable[bool]]
    ) -> None:
        self._settings = settings
        self._runs = runs
        self._passage = Passage(settings, contexts, self._claim)
        self._streams: dict[VMId, Stream] = {}
        self._awaited: dict[int, _Awaited] = {}
        self._next = 0
        self._closed = False

    async def open(self) -> None:
        """Begin to listen for peers."""
        await self._passage.open()

    async def close(self) -> None:
        """Break what is under way off, and carry no more."""
        self._closed = True
        await self._passage.close()

    def cells(self) -> Mapping[str, Cell]:
        """Say what works here."""
        why_not = self._passage.why_not
        if why_not is not None:
            return dict.fromkeys(_ROWS, Cell(level=Level.NONE, reason=f"the passage: {why_not}"[:400]))
        cells = dict.fromkeys(_ROWS, Cell(level=Level.AGENT, reason="the agents of both hosts carry the memory"))
        return cells | {"migration.live": Cell(level=Level.AGENT, reason=_LIVE)}

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        """Await one stream for a VM; an earlier landing of it is void. Raises Busy when no port is free.

        The landing's address is all that the agent knows; the rest is the hypervisor's.
        """
        self._check_open()
        now = _now()
        self._awaited = {p: a for p, a in self._awaited.items() if a.until > now and a.vm != vm}
        port = self._free_port()
        self._awaited[port] = _Awaited(vm=vm, until=now + AWAITED_S)
        return Landing(host=host, family="", uri="", address=f"{self._settings.loopback}:{port}", tls_name=None)

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
        """Let one stream through to the landing's address. The same key twice lets one through.

        One that was announced before and has not come is void: who asks has seen that no move is under way.

        Raises Invalid (bandwidth, no peer's address), NotFound, Conflict (the VM is off, or another stream of it
        is under way), Busy, Failed.
        """
        if bandwidth_bytes_s is not None and bandwidth_bytes_s <= 0:
            raise Invalid("the bandwidth must be above 0 B/s", subject=vm)
        name, peer, port = self._peer_at(landing)
        if not await self._runs(vm):
            raise Conflict("the VM does not run", subject=vm)
        self._check_open()
        known = self._streams.get(vm)
        if known is not None and known.phase is MigrationPhase.RUNNING:
            if known.key == key and known.address == landing.address:
                return
            if known.has_come:
                raise Conflict("the VM's memory is being sent already", subject=vm)
            await self.cancel(vm)  # the hypervisor has given it up before it sent anything
        # From here on nothing is awaited: two at the same time cannot both get through.
        if sum(each.phase is MigrationPhase.RUNNING for each in self._streams.values()) >= MOST_STREAMS:
            raise Busy("too many VMs are being sent from this host", subject=vm)
        stream = Stream(vm=vm, key=key, address=f"{peer.loopback}:{port}", bytes_s=bandwidth_bytes_s)
        self._passage.depart(stream, name, peer, port)
        self._remember(stream)

    async def wait(self, vm: VMId) -> MigrationStatus:
        """Wait for the end of the stream. Raises NotFound."""
        stream = self._streams.get(vm)
        if stream is None:
            raise NotFound("no memory of this VM was sent from here", subject=vm)
        if stream.task is not None:
            await asyncio.wait({stream.task})
        return stream.status()

    async def cancel(self, vm: VMId) -> None:
        """Break the stream off: both hypervisors see a failed move, and the VM goes on here."""
        stream = self._streams.get(vm)
        if stream is None or stream.task is None or stream.task.done():
            return
        stream.end(MigrationPhase.CANCELLED)
        _log.info("the memory of VM %s is sent no further, as was asked: %d bytes were", vm, stream.carried)
        stream.task.cancel()
        await asyncio.wait({stream.task})

    async def status(self, vm: VMId) -> MigrationStatus | None:
        """Return how far the last stream of a VM is, None where there was none."""
        self._check_open()
        stream = self._streams.get(vm)
        return None if stream is None else stream.status()

    async def forecast(
        self,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
    ) -> NoReturn:
        """Not the agent's to say: raises Unsupported."""
        raise Unsupported("migration.live", _HYPERVISORS, subject=vm)

    def _claim(self, port: int) -> bool:
        """Say whether a stream is awaited at a port; the next one there is not."""
        awaited = self._awaited.pop(port, None)
        return awaited is not None and awaited.until > _now()

    def _free_port(self) -> int:
        """The next port in turn: libvirt keeps the one of a failed arrival open for a while."""
        settings = self._settings
        for _ in range(settings.ports):
            port = settings.first_port + self._next % settings.ports
            self._next += 1
            if port not in self._awaited:
                return port
        raise Busy("too many VMs are awaited on this host", mend="try again later")

    def _peer_at(self, landing: Landing) -> tuple[str, PeerSettings, int]:
        matched = _ADDRESS.fullmatch(landing.address or "")
        if matched is None or not self._settings.has(port := int(matched["port"])):
            raise Invalid("the landing names no address of the passage: memory would go out in plaintext")
        for name, peer in self._settings.peers.items():
            if peer.loopback == matched["loopback"]:
                return name, peer, port
        raise Invalid(
            f"no peer of this host has the loopback address {matched['loopback']}",
            mend="add it under passage.peers in the agent's file of this host",
        )

    def _remember(self, stream: Stream) -> None:
        self._streams.pop(stream.vm, None)
        self._streams[stream.vm] = stream
        ended = [vm for vm, each in self._streams.items() if each.phase is not MigrationPhase.RUNNING]
        for vm in ended[: max(0, len(self._streams) - _MOST_REMEMBERED)]:
            del self._streams[vm]

    def _check_open(self) -> None:
        if self._closed:
            raise Unreachable("the session is closed")


def _now() -> float:
    return asyncio.get_running_loop().time()
