"""Bytes from one connection to another with backpressure; what breaks on one side breaks on the other, visibly.

Between the hosts a stream is a row of pieces, each after its length, with an empty one as its end: TLS alone does
not tell an end from a cut. A length that no piece has says that the stream was broken off.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass

from yamori.agent.passage.rate import Rate

_PIECE = 1 << 16
_LENGTH = struct.Struct("!I")
_BROKEN_OFF = 0xFFFF_FFFF
_LAST_WORD_SECONDS = 60.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


@dataclass(frozen=True, slots=True)
class Side:
    """One connection. ``between`` is true for the one between the hosts, false on a loopback."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    between: bool

    async def take(self) -> bytes:
        """Return the next piece, empty at the end. Raises OSError when it broke, or is not one of ours."""
        if not self.between:
            return await self.reader.read(_PIECE)
        try:
            (length,) = _LENGTH.unpack(await self.reader.readexactly(_LENGTH.size))
            if length == _BROKEN_OFF:
                raise ConnectionAbortedError("the other host broke the stream off")
            if length > _PIECE:
                raise ConnectionAbortedError("what came over the wire is no stream of ours")
            return await self.reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the stream was cut") from None

    def give(self, piece: bytes) -> None:
        """Send a piece; an empty one ends the stream."""
        if self.between:
            self.writer.write(_LENGTH.pack(len(piece)) + piece)
        elif piece:
            self.writer.write(piece)
        else:
            self.writer.write_eof()

    async def let_go(self, within_s: float) -> bool:
        """Have who is behind this side see a broken stream, and wait until it has let go of it; whether it has.

        A hypervisor is told by an early end: what it gets says itself where it ends, so half is never whole.
        """
        try:
            async with asyncio.timeout(within_s):
                if self.between:
                    self.writer.write(_LENGTH.pack(_BROKEN_OFF))
                else:
                    self.writer.write_eof()
                await self.writer.drain()
                while await self.reader.read(_PIECE):
                    pass
        except (OSError, ssl.SSLError, RuntimeError, TimeoutError):
            return False
        return True

    def watch(self, stalled_s: float) -> None:
        """Have the kernel notice a peer that is gone, whether we send (unacknowledged data) or wait."""
        raw = self.writer.get_extra_info("socket")
        if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
            return
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stalled_s * 1000))

    def cut(self) -> None:
        """Close at once, unless it was closed in order. The other side sees a reset and no tidy end."""
        if self.writer.is_closing():
            return
        raw = self.writer.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def carry(
    near: Side, far: Side, *, stalled_s: float, bytes_s: float | None, count: Callable[[int], None]
) -> None:
    """Carry from ``near``, who opened the stream, until ``far`` has its end; ``count`` hears what went there.

    Raises OSError, SSLError or TimeoutError as soon as either side breaks or takes nothing any more: then the
    caller has ``far`` let go and cuts both, so that neither hypervisor takes half a VM for a whole one.
    """
    for side in (near, far):
        side.watch(stalled_s)
    there = asyncio.create_task(_pump(near, far, stalled_s, Rate(bytes_s), count))
    back = asyncio.create_task(_pump(far, near, stalled_s, Rate(None), _unheard))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        if not there.done():
            await back  # raises what broke it
            await asyncio.wait({there}, timeout=_LAST_WORD_SECONDS)
        if not there.done():
            raise ConnectionResetError("the far side closed before the stream had ended")
        await there
        async with asyncio.timeout(_LAST_WORD_SECONDS):
            await back  # the other end of the passage has handed all over, or says why not
        for side in (far, near):
            side.writer.close()
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _pump(source: Side, sink: Side, stalled_s: float, rate: Rate, count: Callable[[int], None]) -> None:
    while piece := await source.take():
        await _hand_over(sink, piece, stalled_s)
        count(len(piece))
        await rate.spent(len(piece))
    await _hand_over(sink, b"", stalled_s)


async def _hand_over(sink: Side, piece: bytes, stalled_s: float) -> None:
    sink.give(piece)
    async with asyncio.timeout(stalled_s):
        await sink.writer.drain()


def _unheard(_count: int) -> None:
    """What comes back along the way of a stream is not its progress."""
