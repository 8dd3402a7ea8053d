"""Traffic control: what hangs on an interface, and how to hang a rate on it (<linux/pkt_sched.h>, pkt_cls.h).

Rates are bytes per second, exact: the kernel is asked and read in its own units, never through printed text.
"""

import math
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from yamori.agent.functions.netlink import CREATE, EXCLUSIVE, REPLACE, Netlink
from yamori.agent.netlink import attribute, fields, text

HANDLE, HANDLE_OVER_NONE = 0x5941_0000, 0x5942_0000
"""``5941:`` and ``5942:``, the handles by which our queueing is known.

The second says that somebody (libvirt does) had asked for no queue at all on the interface: it gets that back.
"""
NO_QUEUE = "noqueue"
PRIORITY = 0x5941
"""The priority by which our filter is known."""
ROOT, INGRESS, INGRESS_HANDLE = 0xFFFF_FFFF, 0xFFFF_FFF1, 0xFFFF_0000
_INGRESS_OF = {"ingress": INGRESS_HANDLE, "clsact": INGRESS_HANDLE | 0xFFF2}

_NEW_QDISC, _DEL_QDISC, _GET_QDISC = 36, 37, 38
_NEW_FILTER, _DEL_FILTER, _GET_FILTER = 44, 45, 46
_MESSAGE = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS = 1, 2
_RATE = struct.Struct("=BBHhHI")
_TBF = struct.Struct("=12s12sIII")
_TBF_PARAMETERS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_POLICE = struct.Struct("=IiIII12s12siiI")
_POLICE_PARAMETERS, _POLICE_TABLE, _POLICE_RATE64 = 1, 2, 8
_MIRRED = struct.Struct("=IIiiiiI")
_MIRRED_PARAMETERS = 2
_ACT_KIND, _ACT_OPTIONS = 1, 2
_ACTION_OF = {"matchall": 2, "u32": 7}
_U32_SELECTOR = 5
_ETHERNET = 1
_SHOT, _STOLEN, _REDIRECT_EGRESS = 2, 4, 1
_ALL_PROTOCOLS = socket.htons(0x0003)
_TICK_NS = 64
"""PSCHED_TICKS2NS: one tick of the scheduler's clock (include/net/pkt_sched.h)."""
_U32 = 0xFFFF_FFFF
MOST = 1 << 50
_LARGEST_PACKET = 66_000
"""Bytes of the largest bundle of segments that a virtual card hands over as one packet, and its headers."""
QUEUE_S = 0.05
"""How long a packet may wait in our queue."""


class Match(StrEnum):
    """The kernel's classifiers that can take every packet."""

    MATCHALL = "matchall"
    U32 = "u32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queueing:
    """One qdisc. ``rate`` is known of token buckets only."""

    index: int
    kind: str
    handle: int
    parent: int
    rate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter with its first action: ``police`` at a rate, or ``mirred`` to an interface."""

    kind: str
    priority: int
    action: str
    rate: int | None
    target: int | None


def queueings(netlink: Netlink, index: int) -> list[Queueing]:
    """List what queues an interface's packets."""
    found = []
    for body in netlink.dump(_GET_QDISC, _MESSAGE.pack(0, index, 0, 0, 0)):
        _, where, handle, parent, _ = _MESSAGE.unpack_from(body)
        if where == index:
            told = fields(body[_MESSAGE.size :])
            kind = text(told.get(_KIND, b""))
            rate = _tbf_rate(fields(told.get(_OPTIONS, b""))) if kind == "tbf" else None
            found.append(Queueing(index=where, kind=kind, handle=handle, parent=parent, rate=rate))
    return found


def _tbf_rate(told: Mapping[int, bytes]) -> int | None:
    if _TBF_RATE64 in told:
        return int.from_bytes(told[_TBF_RATE64], sys.byteorder)
    parameters = told.get(_TBF_PARAMETERS, b"")
    if len(parameters) < _TBF.size:
        return None
    rate: int = _RATE.unpack(_TBF.unpack_from(parameters)[0])[5]
    return rate


def queue_at(netlink: Netlink, index: int, rate: int, mtu: int, handle: int = HANDLE) -> None:
    """Hang a token bucket on an interface's way out, or change the rate of ours. Raises KernelRefused."""
    burst = max(rate // 40, 2 * (mtu + 22), 4096)
    limit = min(_U32, burst + max(math.ceil(rate * QUEUE_S), 20 * (mtu + 22)))
    spec = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, _U32))
    parameters = _TBF.pack(spec, bytes(_RATE.size), limit, min(_U32, _ticks(burst, rate)), 0)
    options = attribute(_TBF_PARAMETERS, parameters) + attribute(_TBF_BURST, struct.pack("=I", min(burst, _U32)))
    if rate > _U32:
        options += attribute(_TBF_RATE64, struct.pack("=Q", rate))
    body = _MESSAGE.pack(0, index, handle, ROOT, 0) + attribute(_KIND, b"tbf\0") + attribute(_OPTIONS, options)
    netlink.change(_NEW_QDISC, CREATE | REPLACE, body)


def unqueue(netlink: Netlink, index: int, handle: int = HANDLE) -> None:
    """Take our token bucket off an interface. Raises KernelRefused."""
    if handle == HANDLE_OVER_NONE:
        body = _MESSAGE.pack(0, index, 0, ROOT, 0) + attribute(_KIND, NO_QUEUE.encode() + b"\0")
        netlink.change(_NEW_QDISC, CREATE | REPLACE, body)
    else:
        netlink.change(_DEL_QDISC, 0, _MESSAGE.pack(0, index, handle, ROOT, 0))


def open_ingress(netlink: Netlink, index: int) -> None:
    """Make the place on an interface where filters see what comes in. Raises KernelRefused."""
    body = _MESSAGE.pack(0, index, INGRESS_HANDLE, INGRESS, 0) + attribute(_KIND, b"ingress\0")
    netlink.change(_NEW_QDISC, CREATE | EXCLUSIVE, body)


def close_ingress(netlink: Netlink, index: int) -> None:
    """Remove that place with all its filters. Raises KernelRefused."""
    netlink.change(_DEL_QDISC, 0, _MESSAGE.pack(0, index, INGRESS_HANDLE, INGRESS, 0))


def filters(netlink: Netlink, index: int, ingress: str) -> list[Filter]:
    """List the filters on what comes in. ``ingress`` is the kind of the qdisc there."""
    found = []
    for body in netlink.dump(_GET_FILTER, _MESSAGE.pack(0, index, 0, _INGRESS_OF[ingress], 0)):
        told = fields(body[_MESSAGE.size :])
        info = _MESSAGE.unpack_from(body)[4]
        kind = text(told.get(_KIND, b""))
        options = fields(told.get(_OPTIONS, b""))
        acts = options.get(_ACTION_OF.get(kind, -1))
        if not options or (kind == "u32" and _U32_SELECTOR not in options):
            continue  # the head of a chain, or a classifier's own table: both are listed like filters
        action = fields(fields(acts).get(1, b"")) if acts is not None else {}
        found.append(_filter(kind, info >> 16, action))
    return found


def _filter(kind: str, priority: int, action: Mapping[int, bytes]) -> Filter:
    name = text(action.get(_ACT_KIND, b""))
    told = fields(action.get(_ACT_OPTIONS, b""))
    rate = target = None
    if name == "police" and len(told.get(_POLICE_PARAMETERS, b"")) >= _POLICE.size:
        rate = _RATE.unpack(_POLICE.unpack_from(told[_POLICE_PARAMETERS])[5])[5]
        if _POLICE_RATE64 in told:
            rate = int.from_bytes(told[_POLICE_RATE64], sys.byteorder)
    if name == "mirred" and len(told.get(_MIRRED_PARAMETERS, b"")) >= _MIRRED.size:
        target = _MIRRED.unpack_from(told[_MIRRED_PARAMETERS])[6]
    return Filter(kind=kind, priority=priority, action=name, rate=rate, target=target)


def police(netlink: Netlink, index: int, ingress: str, match: Match, rate: int) -> None:
    """Drop what comes in above a rate. Raises KernelRefused."""
    burst = max(rate // 20, _LARGEST_PACKET)
    cell_log = 8
    spec = _RATE.pack(cell_log, _ETHERNET, 0, -1, 0, min(rate, _U32))
    table = b"".join(
        struct.pack("=I", min(_U32, _ticks((cell + 1) << cell_log, rate))) for cell in range(256)
    )  # looked at by the kernel for its size only, where it knows the link layer
    parameters = _POLICE.pack(
        0, _SHOT, 0, min(_U32, _ticks(burst, rate)), 1 << 20, spec, bytes(_RATE.size), 0, 0, 0
    )
    options = attribute(_POLICE_PARAMETERS, parameters) + attribute(_POLICE_TABLE, table)
    if rate > _U32:
        options += attribute(_POLICE_RATE64, struct.pack("=Q", rate))
    _hang(netlink, index, ingress, match, "police", options)


def redirect(netlink: Netlink, index: int, ingress: str, match: Match, target: int) -> None:
    """Send what comes in through another interface, from where it comes back. Raises KernelRefused."""
    parameters = _MIRRED.pack(0, 0, _STOLEN, 0, 0, _REDIRECT_EGRESS, target)
    _hang(netlink, index, ingress, match, "mirred", attribute(_MIRRED_PARAMETERS, parameters))


def _hang(netlink: Netlink, index: int, ingress: str, match: Match, action: str, options: bytes) -> None:
    act = attribute(_ACT_KIND, action.encode() + b"\0") + attribute(_ACT_OPTIONS, options)
    told = attribute(_ACTION_OF[match], attribute(1, act))
    if match is Match.U32:
        told = attribute(_U32_SELECTOR, struct.pack("=BBBxHHhhI", 1, 0, 1, 0, 0, 0, 0, 0) + bytes(16)) + told
    info = PRIORITY << 16 | _ALL_PROTOCOLS
    body = _MESSAGE.pack(0, index, 0, _INGRESS_OF[ingress], info)
    body += attribute(_KIND, match.encode() + b"\0") + attribute(_OPTIONS, told)
    netlink.change(_NEW_FILTER, CREATE | EXCLUSIVE, body)


def unhang(netlink: Netlink, index: int, ingress: str) -> None:
    """Remove our filter. Raises KernelRefused."""
    info = PRIORITY << 16 | _ALL_PROTOCOLS
    netlink.change(_DEL_FILTER, 0, _MESSAGE.pack(0, index, 0, _INGRESS_OF[ingress], info))


def _ticks(size: int, rate: int) -> int:
    """Time that so many bytes take, in the scheduler's ticks."""
    return max(1, size * 1_000_000_000 // rate // _TICK_NS)
