"""What all of netlink has in common: sockets, messages, attributes, refusals (netlink(7), <linux/netlink.h>)."""

import socket
import struct
from collections.abc import Iterator, Mapping

HEADER = struct.Struct("=IHHII")
REQUEST, ACK, DUMP = 0x01, 0x04, 0x300
ERROR, DONE = 2, 3
"""Kinds of messages by which an exchange ends."""
INTERRUPTED = 0x10
"""Flag of a dump whose objects changed meanwhile."""

_ATTRIBUTE = struct.Struct("=HH")
_TYPE_BITS = 0x3FFF
_CAPPED, _EXPLAINED = 0x100, 0x200
_SOL_NETLINK, _EXT_ACK = 270, 11
_MESSAGE = 1
"""NLMSGERR_ATTR_MSG: the kernel's own words about a refusal."""


def opened(protocol: int, patience_s: float) -> socket.socket:
    """Open a socket in the network namespace of the calling thread that is told why something is refused."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    made.settimeout(patience_s)
    made.bind((0, 0))
    made.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
    return made


def messages(packet: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Decode a packet: kind, flags, sequence number and content of each message in it."""
    at = 0
    while at + HEADER.size <= len(packet):
        size, kind, flags, sequence, _ = HEADER.unpack_from(packet, at)
        if size < HEADER.size or at + size > len(packet):
            return
        yield kind, flags, sequence, packet[at + HEADER.size : at + size]
        at += (size + 3) & ~3


def refusal(flags: int, content: bytes) -> tuple[int, str] | None:
    """Return the number (errno) and the words of a message of kind ERROR; None when it says that all went well."""
    (code,) = struct.unpack_from("=i", content)
    if code == 0:
        return None
    words = ""
    if flags & _EXPLAINED:
        (size,) = struct.unpack_from("=I", content, 4)
        start = 4 + (HEADER.size if flags & _CAPPED else (size + 3) & ~3)
        words = fields(content[start:]).get(_MESSAGE, b"").rstrip(b"\0").decode("ascii", "replace")[:200]
    return -code, words


def attribute(kind: int, content: bytes) -> bytes:
    """Encode one attribute."""
    size = _ATTRIBUTE.size + len(content)
    return _ATTRIBUTE.pack(size, kind) + content + b"\0" * (-size % 4)


def attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Decode a run of attributes, in order."""
    at = 0
    while at + _ATTRIBUTE.size <= len(content):
        size, kind = _ATTRIBUTE.unpack_from(content, at)
        if size < _ATTRIBUTE.size or at + size > len(content):
            return
        yield kind & _TYPE_BITS, content[at + _ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3


def fields(content: bytes) -> Mapping[int, bytes]:
    """Decode a run of attributes by their kinds; of a kind that comes twice, the last."""
    return dict(attributes(content))


def text(content: bytes) -> str:
    """Decode a name that ends with a zero byte."""
    return content.partition(b"\0")[0].decode("utf-8", "replace")
