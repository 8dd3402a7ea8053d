"""nf_tables over netlink: batches that take effect as a whole, and dumps (<linux/netfilter/nf_tables.h>).

Spoken directly rather than through libnftables, which reads the whole rule set before each change; see
docs/decisions/0021-firewall-engine.md.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from yamori.agent.netlink import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    HEADER,
    INTERRUPTED,
    REQUEST,
    attribute,
    messages,
    opened,
    refusal,
)
from yamori.model.errors import Rejected, TimedOut

NEW_TABLE, GET_TABLE, DEL_TABLE, NEW_CHAIN, GET_CHAIN, DEL_CHAIN = 0, 1, 2, 3, 4, 5
NEW_RULE, GET_RULE, DEL_RULE, NEW_SET, GET_SET, DEL_SET = 6, 7, 8, 9, 10, 11
NEW_ELEMENT, GET_ELEMENT, DEL_ELEMENT = 12, 13, 14
EXCLUSIVE, CREATE, APPEND = 0x200, 0x400, 0x800
INET, BRIDGE, NETDEV = 1, 7, 5
"""NFPROTO_*: families of tables."""

_FAMILY = struct.Struct("!BBH")
_NETFILTER, _NF_TABLES = 12, 10
_BEGIN, _END = 0x10, 0x11
_SEND_FORCED, _RECEIVE_FORCED = 32, 33
"""SO_SNDBUFFORCE, SO_RCVBUFFORCE (<asm-generic/socket.h>)."""
_PATIENCE_S = 30.0
_MOST_SENT, _RECEIVE = 1 << 28, 1 << 23
MOST_BATCH = 1 << 24
"""Bytes in one batch: some thousands of ports."""


class NftRefused(Rejected):
    """The kernel refused a change of its packet filter; nothing of it has happened."""

    def __init__(self, words: str, *, number: int, at: int = -1) -> None:
        self.errno = number
        self.at = at
        """Index of the refused message in its batch, -1 when it is none of them."""
        super().__init__(words or os.strerror(number))


class Torn(NftRefused):
    """The rule set changed while it was read, again and again."""


def number(kind: int, value: int) -> bytes:
    """Encode a 32-bit number."""
    return attribute(kind, struct.pack("!I", value & 0xFFFF_FFFF))


def word(kind: int, value: str) -> bytes:
    """Encode a name."""
    return attribute(kind, value.encode("ascii") + b"\0")


class Batch:
    """Changes that the kernel makes all at once or not at all."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, int, int, bytes]] = []
        """Kind, family, flags and body of each."""
        self.size = 0

    def add(self, kind: int, family: int, body: bytes, flags: int = 0) -> None:
        """Add one change."""
        self.changes.append((kind, family, flags, body))
        self.size += HEADER.size + _FAMILY.size + len(body)

    def __len__(self) -> int:
        return len(self.changes)

    def packed(self, *, commit: bool) -> bytes:
        """Encode it. Without the end mark the kernel tries everything, says what is wrong, and puts all back."""
        parts = [_message(_BEGIN, REQUEST, 0, 0, _NF_TABLES, b"")]
        last = len(self.changes)
        for index, (kind, family, flags, body) in enumerate(self.changes, 1):
            flags |= REQUEST | (ACK if index == last else 0)
            parts.append(_message(_NF_TABLES << 8 | kind, flags, index, family, 0, body))
        if commit:
            parts.append(_message(_END, REQUEST, last + 1, 0, _NF_TABLES, b""))
        return b"".join(parts)


class Nft:
    """One netlink socket in the network namespace of the calling thread. Blocking; for one thread."""

    def __enter__(self) -> Self:
        self._socket = opened(_NETFILTER, _PATIENCE_S)
        for option, size in ((_SEND_FORCED, _MOST_SENT), (_RECEIVE_FORCED, _RECEIVE)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, size)
            except PermissionError:
                continue  # without CAP_NET_ADMIN of the first namespace: the ordinary size does for few ports
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def commit(self, batch: Batch, *, trial: bool = False) -> None:
        """Make a batch of changes; with ``trial`` find out whether it would go. Raises NftRefused, TimedOut."""
        if not len(batch):
            return
        self._socket.send(batch.packed(commit=not trial))
        refusal: NftRefused | None = None
        while True:
            for kind, flags, sequence, content in self._receive():
                if kind != ERROR:
                    continue
                refused = _refusal(flags, content, sequence - 1)
                refusal = refusal or refused
                if sequence == len(batch) or (refused is not None and sequence == 0):
                    self._drain()
                    if refusal is not None:
                        raise refusal
                    return

    def dump(self, kind: int, family: int, body: bytes = b"") -> list[bytes]:
        """Return the bodies of all objects of a kind, as they were at one moment. Raises NftRefused, TimedOut."""
        for _ in range(64):
            found, torn = self._ask(kind, family, body, DUMP)
            if not torn:
                return found
        raise Torn("", number=errno.EINTR)

    def one(self, kind: int, family: int, body: bytes) -> bytes | None:
        """Return the body of one object, None if there is no such. Raises NftRefused, TimedOut."""
        try:
            found, _ = self._ask(kind, family, body, ACK)
        except NftRefused as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return found[0] if found else None

    def _ask(self, kind: int, family: int, body: bytes, flags: int) -> tuple[list[bytes], bool]:
        self._socket.send(_message(_NF_TABLES << 8 | kind, REQUEST | flags, 1, family, 0, body))
        found: list[bytes] = []
        torn = False
        while True:
            for answered, told, _, content in self._receive():
                torn = torn or bool(told & INTERRUPTED)
                if answered == DONE:
                    return found, torn
                if answered == ERROR:
                    refused = _refusal(told, content, -1)
                    if refused is not None:
                        raise refused
                    return found, torn
                found.append(content[_FAMILY.size :])

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            packet = self._socket.recv(1 << 20)
        except TimeoutError:
            raise TimedOut("the kernel's packet filter does not answer") from None
        except OSError as error:
            raise NftRefused("", number=error.errno or errno.EIO) from error
        yield from messages(packet)

    def _drain(self) -> None:
        """Throw away what the kernel says after the answer that counts."""
        self._socket.settimeout(0)
        try:
            while self._socket.recv(1 << 16):
                pass
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(_PATIENCE_S)


def _message(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes) -> bytes:
    size = HEADER.size + _FAMILY.size + len(body)
    return HEADER.pack(size, kind, flags, sequence, 0) + _FAMILY.pack(family, 0, resource) + body


def _refusal(flags: int, content: bytes, at: int) -> NftRefused | None:
    told = refusal(flags, content)
    return None if told is None else NftRefused(told[1], number=told[0], at=at)
