"""A socket with TLS over it: the only I/O of the protocol, with ``line``."""

import asyncio
import contextlib
import socket

from yamori.agent.protocol.tls import PORTION, Secured
from yamori.model.errors import TimedOut, Unreachable, YamoriError

HANDSHAKE_S = 10.0
MOST_UNSENT = 8 * 2**20
"""Bytes that may wait for a peer that does not read."""
CLOSE_S = 2.0
USER_TIMEOUT_MS = 10_000
"""Sent bytes that are not acknowledged for so long end a connection (tcp(7), TCP_USER_TIMEOUT)."""


class Channel:
    """One connection. ``address`` is the other side's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: Secured) -> None:
        self._reader = reader
        self._writer = writer
        self.tls = tls
        peer = writer.get_extra_info("peername")
        self.address = str(peer[0])[:64] if isinstance(peer, tuple) else "unknown"
        self._early = b""
        _hurry(writer)

    async def handshake(self) -> None:
        """Agree on keys and prove one another. Raises BadCertificate, Garbled, Unreachable, TimedOut."""
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                self._early = self.tls.receive(b"")
                while not self.tls.is_open:
                    self._flush()
                    self._early += self.tls.receive(await self._read())
        except TimeoutError:
            raise TimedOut(f"no TLS handshake within {HANDSHAKE_S:.0f} s") from None
        finally:
            self._flush()

    async def receive(self) -> bytes:
        """Return plain text, as soon as there is some; nothing at the end. Raises as ``handshake``."""
        if self._early:
            early, self._early = self._early, b""
            return early
        while not self.tls.is_over:
            try:
                plain = self.tls.receive(await self._read())
            finally:
                self._flush()
            if plain:
                return plain
        return b""

    def send(self, plain: bytes) -> None:
        """Send without waiting. Raises Unreachable when too much waits already."""
        self.tls.send(plain)
        self._flush()
        if self._writer.transport.get_write_buffer_size() > MOST_UNSENT:
            raise Unreachable("the other side does not read what it is sent")

    async def close(self, *, linger: bool = True) -> None:
        """Hang up; where we ``linger``, what was sent gets a moment to leave. Idempotent."""
        if not linger:
            self._writer.transport.abort()
            return
        with contextlib.suppress(OSError, YamoriError, TimeoutError):
            self._flush()
            async with asyncio.timeout(CLOSE_S):
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                # Unread bytes would make the kernel reset the connection, and with it our last word.
                while await self._reader.read(PORTION):
                    pass
        self._writer.transport.abort()

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(PORTION)
        except OSError as error:
            raise Unreachable(f"the connection broke: {error.strerror or type(error).__name__}") from None
        if not data:
            raise Unreachable("the other side ended the connection")
        return data

    def _flush(self) -> None:
        data = self.tls.out()
        if data and not self._writer.is_closing():
            self._writer.write(data)


def _hurry(writer: asyncio.StreamWriter) -> None:
    """Notice a cut network soon, and send small messages at once."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
