"""The two ends of the passage on one host: an entrance for each stream that is announced, one door for peers.

Nothing of a stream is kept, logged or looked at.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from yamori.agent.passage.pump import Side, carry
from yamori.agent.passage.settings import PassageSettings, PeerSettings
from yamori.agent.passage.stream import Stream
from yamori.model.errors import Failed, YamoriError
from yamori.model.migration import MigrationPhase
from yamori.trust.certificates import read_certificate

_DIAL_S = 60.0
"""A host that sends memory has little time for handshakes."""
_COME_S = 120.0
"""So long a hypervisor may take to begin to send, after the stream was announced."""
_LET_GO_S = 15.0
"""So long the destination may take to give up a VM that will not arrive."""
_GRACE_S = 4.0
"""The same where nobody can say that it has."""
_LISTEN_AGAIN_S = 10.0
_PORT = struct.Struct("!H")
_MOST_STRANGERS = 64
"""Peers that have not shown who they are, and streams that come in, at once."""
_MOST_STRANGERS_OF_ONE = 16
_BROKEN = (OSError, ssl.SSLError, TimeoutError, YamoriError)

_log = logging.getLogger(__name__)


class Contexts(Protocol):
    """Who we are at this moment."""

    def context(self, *, server_side: bool) -> ssl.SSLContext:
        """Return what proves us to a peer, and demands proof. Raises NotFound, Untrusted, BadCertificate."""
        ...


class Passage:
    """Carries announced streams until closed. ``claim`` is asked whether an arrival at a port was announced."""

    def __init__(self, settings: PassageSettings, contexts: Contexts, claim: Callable[[int], bool]) -> None:
        self.settings = settings
        self._contexts = contexts
        self._claim = claim
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers: Counter[str] = Counter()
        self._door: socket.socket | None = None
        self.why_not: str | None = "the agent has not listened yet"
        """Why no stream can come in, None while it can."""

    async def open(self) -> None:
        """Begin to listen, again and again where that cannot be."""
        await self._listen()
        self._spawn(self._attend())

    async def close(self) -> None:
        """Stop; streams under way break, so that both hypervisors see a failed move."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._door is not None:
            self._door.close()
        self.why_not = "the agent stops"

    def depart(self, stream: Stream, name: str, peer: PeerSettings, port: int) -> None:
        """Let one stream in at our entrance to a peer, and carry it there. Raises Failed where that is taken."""
        try:
            entrance = socket.create_server((peer.loopback, port), backlog=1)
        except OSError as error:
            where = f"{peer.loopback}:{port}"
            raise Failed(f"no entrance can be opened: {error.strerror}", subject=where) from error
        entrance.settimeout(0)

        def over(_task: asyncio.Task[None]) -> None:
            """Also where the task never came to run."""
            entrance.close()
            stream.end(MigrationPhase.FAILED, "the agent stopped")

        stream.task = self._spawn(self._depart(stream, entrance, name, peer, port))
        stream.task.add_done_callback(over)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _depart(
        self, stream: Stream, entrance: socket.socket, name: str, peer: PeerSettings, port: int
    ) -> None:
        async with contextlib.AsyncExitStack() as sides:
            try:
                with entrance:
                    near = await self._first(entrance)
                stream.has_come = True
                sides.callback(near.cut)
                far = await self._dial(name, peer)
                sides.callback(far.cut)
                far.give(_PORT.pack(port))
                sides.push_async_callback(self._destination_first, stream, far)
                bounds = [each for each in (stream.bytes_s, self.settings.bytes_s) if each is not None]
                await carry(
                    near,
                    far,
                    stalled_s=self.settings.stalled_s,
                    bytes_s=min(bounds, default=None),
                    count=stream.count,
                )
            except _BROKEN as error:
                stream.end(MigrationPhase.FAILED, _words(error))
                _log.warning("the memory of VM %s did not reach %s: %s", stream.vm, name, _words(error))
            else:
                stream.end(MigrationPhase.SUCCEEDED)
                _log.info("the memory of VM %s went to %s: %d bytes", stream.vm, name, stream.carried)

    async def _destination_first(self, stream: Stream, far: Side) -> None:
        """Before the source sees a stream that broke, have the destination be done with it.

        libvirt's Xen driver (9.0) dies at the destination when the source has it clear up an arrival that is
        still failing there: libxlDoMigrateDstReceive and the finish of a cancelled move use one object unlocked.
        """
        if stream.phase is not MigrationPhase.SUCCEEDED and not await far.let_go(_LET_GO_S):
            await asyncio.sleep(_GRACE_S)

    async def _first(self, entrance: socket.socket) -> Side:
        """Whoever comes first on our own loopback. All that come later find it closed."""
        try:
            async with asyncio.timeout(_COME_S):
                raw, _ = await asyncio.get_running_loop().sock_accept(entrance)
        except TimeoutError:
            raise TimeoutError(f"the hypervisor sent nothing within {_COME_S:.0f} s") from None
        reader, writer = await asyncio.open_connection(sock=raw)
        return Side(reader, writer, between=False)

    async def _dial(self, name: str, peer: PeerSettings) -> Side:
        """To a peer, who must prove its name before we say a word. Raises PermissionError."""
        context = self._contexts.context(server_side=False)
        try:
            async with asyncio.timeout(_DIAL_S):
                reader, writer = await asyncio.open_connection(
                    peer.address, peer.port, ssl=context, ssl_handshake_timeout=_DIAL_S
                )
        except TimeoutError:
            raise TimeoutError(f"{name} cannot be reached within {_DIAL_S:.0f} s") from None
        side = Side(reader, writer, between=True)
        if _agent(side) != name:
            side.cut()
            raise PermissionError(f"whoever answers at the address of {name} is another agent")
        return side

    async def _listen(self) -> None:
        settings = self.settings
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                settings.listen, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            self._door = socket.create_server(found[0][4][:2], family=found[0][0], backlog=_MOST_STRANGERS)
        except OSError as error:
            why = f"cannot listen on {settings.listen} port {settings.port}: {error.strerror or error}"
            if why != self.why_not:
                _log.warning("%s", why)
            self.why_not = why
            return
        self._door.settimeout(0)
        self.why_not = None
        _log.info("memory streams are awaited on %s port %d", settings.listen, settings.port)

    async def _attend(self) -> None:
        """Let strangers in, few at once."""
        while self._door is None:
            await asyncio.sleep(_LISTEN_AGAIN_S)
            await self._listen()
        while True:
            try:
                raw, peer = await asyncio.get_running_loop().sock_accept(self._door)
            except OSError as error:
                _log.warning("nobody can be let in: %s", error)
                await asyncio.sleep(1.0)
                continue
            address = str(peer[0])
            if self._strangers.total() >= _MOST_STRANGERS or self._strangers[address] >= _MOST_STRANGERS_OF_ONE:
                raw.close()
                continue
            self._strangers[address] += 1
            self._spawn(self._serve(raw, address))

    async def _serve(self, raw: socket.socket, address: str) -> None:
        try:
            await self._arrive(raw)
        except _BROKEN as error:
            _log.warning("a stream from %s broke: %s", address[:64], _words(error))
        finally:
            self._strangers[address] -= 1
            self._strangers = +self._strangers

    async def _arrive(self, raw: socket.socket) -> None:
        """From a peer, who must prove a name that we know, to our loopback where a VM is awaited."""
        async with contextlib.AsyncExitStack() as sides:
            async with asyncio.timeout(_DIAL_S):
                near = await self._shake_hands(raw)
                sides.callback(near.cut)
                name = _agent(near)
                if name not in self.settings.peers:
                    raise PermissionError("an agent came that is none of our peers")
                first = await near.take()
                port = _PORT.unpack(first)[0] if len(first) == _PORT.size else 0
                if not self._claim(port):
                    raise PermissionError(f"{name} sent a stream that nobody announced")
                reader, writer = await asyncio.open_connection(self.settings.loopback, port)
            far = Side(reader, writer, between=False)
            sides.callback(far.cut)
            arrived = 0

            def count(more: int) -> None:
                nonlocal arrived
                arrived += more

            try:
                await carry(near, far, stalled_s=self.settings.stalled_s, bytes_s=None, count=count)
            except BaseException:
                await far.let_go(_LET_GO_S)
                raise
            _log.info("a memory stream of %d bytes came from %s", arrived, name)

    async def _shake_hands(self, raw: socket.socket) -> Side:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            context = self._contexts.context(server_side=True)
        except YamoriError:
            raw.close()
            raise
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, raw, ssl=context, ssl_handshake_timeout=_DIAL_S
        )
        return Side(reader, asyncio.StreamWriter(transport, protocol, reader, loop), between=True)


def _agent(side: Side) -> str:
    """Return the name that the other end has proven. Raises BadCertificate for what is no agent."""
    shown: ssl.SSLObject = side.writer.get_extra_info("ssl_object")
    return read_certificate(shown.getpeercert(binary_form=True) or b"").agent


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]
