"""The kernel's rtnetlink: requests, and network interfaces (rtnetlink(7), <linux/rtnetlink.h>)."""

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    fields,
    messages,
    opened,
    refusal,
    text,
)
from yamori.model.errors import Rejected, TimedOut

REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
NEW_LINK, DEL_LINK, GET_LINK = 16, 17, 18

_LINK = struct.Struct("=BxHiII")
_ROUTE = 0
_PATIENCE_S = 10.0
_MOST_MESSAGES = 1_000_000
_IFF_UP = 0x1
_NAME, _ADDRESS, _MTU, _MASTER, _LINK_INFO, _ALIAS, _KIND = 3, 1, 4, 10, 18, 20, 1


class KernelRefused(Rejected):
    """The kernel refused a request."""

    def __init__(self, words: str, *, number: int = 0) -> None:
        self.errno = number
        super().__init__(words or os.strerror(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network interface of this network namespace."""

    index: int
    name: str
    kind: str
    """What made it (``tun``, ``ifb``, ``veth``); empty for hardware and Xen's backends."""
    address: bytes
    mtu: int
    master: int
    """Index of the bridge that it is a port of, 0 if of none."""


class Netlink:
    """One rtnetlink socket in the network namespace of the calling thread. Blocking; for one thread."""

    def __enter__(self) -> Self:
        self._socket = opened(_ROUTE, _PATIENCE_S)
        self._sequence = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def change(self, kind: int, flags: int, body: bytes) -> None:
        """Send a request and wait for the kernel's word. Raises KernelRefused, TimedOut."""
        for _ in self._exchange(kind, flags | REQUEST | ACK, body):
            pass

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of all objects of a kind; again if they changed in the middle."""
        while True:
            found: list[bytes] = []
            torn = False
            for flags, answer in self._exchange(kind, REQUEST | DUMP, body):
                torn = torn or bool(flags & INTERRUPTED)
                found.append(answer)
                if len(found) > _MOST_MESSAGES:
                    raise KernelRefused("more objects than can be", number=errno.EOVERFLOW)
            if not torn:
                return found

    def _exchange(self, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        self._sequence += 1
        self._socket.send(HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            try:
                packet = self._socket.recv(1 << 18)
            except TimeoutError:
                raise TimedOut("the kernel does not answer") from None
            for answered, found, sequence, content in messages(packet):
                if sequence != self._sequence:
                    continue
                if answered == ERROR:
                    if (refused := refusal(found, content)) is not None:
                        raise KernelRefused(refused[1], number=refused[0])
                    return
                if answered == DONE:
                    return
                yield found, content


def links(netlink: Netlink) -> Mapping[int, Link]:
    """List the interfaces of this namespace by their index."""
    found: dict[int, Link] = {}
    for body in netlink.dump(GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        index = _LINK.unpack_from(body)[2]
        told = fields(body[_LINK.size :])
        found[index] = Link(
            index=index,
            name=text(told.get(_NAME, b"")),
            kind=text(fields(told.get(_LINK_INFO, b"")).get(_KIND, b"")),
            address=told.get(_ADDRESS, b""),
            mtu=int.from_bytes(told.get(_MTU, b""), sys.byteorder),
            master=int.from_bytes(told.get(_MASTER, b""), sys.byteorder),
        )
    return found


def make_link(netlink: Netlink, name: str, kind: str) -> None:
    """Make an interface that is down. Raises KernelRefused."""
    info = attribute(_LINK_INFO, attribute(_KIND, kind.encode()))
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_NAME, name.encode() + b"\0") + info
    netlink.change(NEW_LINK, CREATE | EXCLUSIVE, body)


def start_link(netlink: Netlink, link: Link, *, mtu: int, alias: str) -> None:
    """Switch an interface on, with a size and a remark for who lists interfaces. Raises KernelRefused."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, link.index, _IFF_UP, _IFF_UP)
    body += attribute(_MTU, struct.pack("=I", mtu)) + attribute(_ALIAS, alias.encode()[:255])
    netlink.change(NEW_LINK, 0, body)


def remove_link(netlink: Netlink, index: int) -> None:
    """Remove an interface. Raises KernelRefused."""
    netlink.change(DEL_LINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))
