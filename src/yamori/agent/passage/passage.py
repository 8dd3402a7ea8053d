"""The two ends of the passage on one host: an entrance for each peer on the loopback, one exit for all of them."""

import asyncio
import contextlib
import logging
import ssl
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from yamori.agent.passage.pump import Side, carry
from yamori.agent.passage.settings import PassageSettings, PeerSettings, client_context, server_context

_DIAL_SECONDS = 60.0
"""A host that sends memory has little time for handshakes."""
_PORT = struct.Struct("!H")
_MOST_STREAMS = 16

_log = logging.getLogger(__name__)


class Passage:
    """Carries streams until closed. Nothing of a stream is kept, logged or looked at."""

    def __init__(self, settings: PassageSettings) -> None:
        self._settings = settings
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()
        self.carried = 0
        """Streams that came to their proper end."""
        self.broken = 0
        """Streams that were refused or broke."""

    async def open(self) -> None:
        """Begin to listen. Raises OSError, SSLError."""
        settings = self._settings
        self._outward = client_context(settings)
        try:
            self._servers.append(
                await asyncio.start_server(
                    partial(self._begin, self._arrive, between=True),
                    settings.listen,
                    settings.port,
                    ssl=server_context(settings),
                    ssl_handshake_timeout=_DIAL_SECONDS,
                )
            )
            for peer in settings.peers.values():
                for port in range(settings.first_port, settings.first_port + settings.ports):
                    depart = partial(self._depart, peer, port)
                    self._servers.append(
                        await asyncio.start_server(
                            partial(self._begin, depart, between=False), peer.loopback, port
                        )
                    )
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop; streams under way break, so that both hypervisors see a failed move."""
        for server in self._servers:
            server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def break_off(self) -> int:
        """Break every stream under way and go on listening; how many there were."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    def _begin(
        self,
        further: Callable[[Side], Coroutine[Any, Any, Side]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        between: bool,
    ) -> None:
        near = Side(reader, writer, between=between)
        task = asyncio.get_running_loop().create_task(self._carry(further, near))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _carry(self, further: Callable[[Side], Coroutine[Any, Any, Side]], near: Side) -> None:
        far: Side | None = None
        try:
            if len(self._open) > _MOST_STREAMS:
                raise ConnectionRefusedError("too many streams at once")
            far = await further(near)
            settings = self._settings
            moved = await carry(near, far, stalled_s=settings.stalled_s, bytes_s=settings.bytes_s)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            self.broken += 1
            _log.warning("a stream broke: %s", type(error).__name__ if not str(error) else str(error)[:200])
        except asyncio.CancelledError:
            self.broken += 1
            raise
        else:
            self.carried += 1
            _log.info("a stream of %d bytes was carried", moved)
        finally:
            for side in filter(None, (near, far)):
                side.cut()

    async def _depart(self, peer: PeerSettings, port: int, _near: Side) -> Side:
        """From our loopback to a peer, who must prove its name. The first piece says to which of its ports."""
        async with asyncio.timeout(_DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(
                peer.address,
                peer.port,
                ssl=self._outward,
                server_hostname=peer.tls_name,
                ssl_handshake_timeout=_DIAL_SECONDS,
            )
        far = Side(reader, writer, between=True)
        far.give(_PORT.pack(port))
        return far

    async def _arrive(self, near: Side) -> Side:
        """From a peer, who has proven a name that we know, to our loopback. Raises PermissionError."""
        proven = _names(near.writer.get_extra_info("peercert"))
        if not proven & {peer.tls_name for peer in self._settings.peers.values()}:
            raise PermissionError("a certificate of our authority came that is none of a peer's")
        settings = self._settings
        async with asyncio.timeout(_DIAL_SECONDS):
            first = await near.take()
            port = _PORT.unpack(first)[0] if len(first) == _PORT.size else 0
            if not settings.first_port <= port < settings.first_port + settings.ports:
                raise PermissionError("a peer asked for a port where no memory stream arrives")
            reader, writer = await asyncio.open_connection(settings.loopback, port)
        return Side(reader, writer, between=False)


def _names(certificate: Any) -> set[str]:
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        return {str(name) for _kind, name in certificate.get("subjectAltName", ())}
    return set()
