"""Where the rules of a port can sit on this host: at the bridge, or at the interface itself. It is tried out."""

import ctypes
import fcntl
import os
import socket
import struct
import threading
from enum import StrEnum

from yamori.agent.filter import expressions as x
from yamori.agent.filter import messages, wire
from yamori.agent.filter.line import Line, is_, protocol
from yamori.agent.filter.messages import EGRESS, INGRESS, Hook
from yamori.agent.filter.wire import Batch, Nft, NftRefused
from yamori.model.errors import TimedOut
from yamori.model.filter_rule import UDP

TRIAL = "yamori-trial"
_NOBODY = "yamori-nobody"
"""The name of no interface."""
_NEW_NETWORK = 0x4000_0000
_SET_FLAGS, _UP = 0x8914, 0x1
"""SIOCSIFFLAGS, IFF_UP (<linux/sockios.h>, <net/if.h>)."""
_PORT = 4242
_PATIENCE_S = 10.0


class Seat(StrEnum):
    """Where the rules of a port sit."""

    BRIDGE = "bridge"
    """In one table of the bridge, found by a map. A change costs the kernel a look at all ports."""
    DEVICE = "device"
    """At the interface (netdev ingress, egress), in one of many tables. Only once the interface is there."""
    NAME = "name"
    """The same, bound to the interface's name: there before it, and again when it is made anew (Linux 6.16)."""


def find_seat(nft: Nft, missing: dict[str, str]) -> Seat:
    """Find the best seat for rules without connection tracking; ``missing`` is told what is not there, and why."""
    for part, number in (("device hooks", INGRESS), ("egress hooks", EGRESS)):
        if not goes(nft, missing, part, _hooked(number, "lo")):
            return Seat.BRIDGE
    if not _egress_reads_true(missing):
        return Seat.BRIDGE
    return Seat.NAME if goes(nft, missing, "hooks by name", _hooked(EGRESS, _NOBODY)) else Seat.DEVICE


def goes(nft: Nft, missing: dict[str, str], part: str, batch: Batch) -> bool:
    """Try a batch without carrying it out; what the kernel says against it becomes the reason of ``part``."""
    try:
        nft.commit(batch, trial=True)
    except NftRefused as error:
        missing[part] = error.message[:200]
        return False
    return True


def _hooked(number: int, device: str) -> Batch:
    """A chain at an interface; the loopback is always there."""
    batch = Batch()
    batch.add(wire.NEW_TABLE, wire.NETDEV, messages.table(TRIAL), wire.CREATE)
    body = messages.chain(TRIAL, "c", Hook(number=number, priority=0, device=device))
    batch.add(wire.NEW_CHAIN, wire.NETDEV, body, wire.CREATE)
    return batch


def _egress_reads_true(missing: dict[str, str]) -> bool:
    """Send one frame through an egress chain, in a network namespace that ends with its thread.

    Before Linux 6.7 (0ae8e4cca787) rules read the transport header of outgoing frames 14 bytes too early, and some
    later ones do not know the protocol of the shortest packets. A trial of a batch shows neither; one does.
    """
    told: list[str] = []
    thread = threading.Thread(target=_try_egress, args=(told,), name="egress-trial")
    thread.start()
    thread.join(_PATIENCE_S)
    why = told[0] if told else "the trial did not end"
    if why:
        missing["egress offsets"] = why[:200]
    return not why


def _try_egress(told: list[str]) -> None:
    """Append what is wrong, or an empty word."""
    try:
        _leave()
        told.append("" if _counted_at_egress() == 1 else "egress chains read transport headers wrong")
    except (OSError, NftRefused, TimedOut) as error:
        told.append(f"no trial: {error}")


def _leave() -> None:
    """Enter a network namespace of one's own. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _counted_at_egress() -> int:
    batch = _hooked(EGRESS, "lo")
    asked = (*protocol(UDP), *is_(x.At.TRANSPORT, 2, struct.pack("!H", _PORT)), x.count())
    batch.add(wire.NEW_RULE, wire.NETDEV, messages.rule(TRIAL, "c", Line(id=None, steps=asked)), wire.CREATE)
    with Nft() as nft, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        fcntl.ioctl(sender, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
        nft.commit(batch)
        sender.bind(("lo", 0))
        sender.send(_datagram())
        (body,) = nft.dump(wire.GET_RULE, wire.NETDEV, messages.rules_of(TRIAL, "c"))
        return messages.read_rule(body).packets


def _datagram() -> bytes:
    """A UDP packet without content from and to 127.0.0.1, to our port (RFC 791, RFC 768)."""
    here = bytes([127, 0, 0, 1])
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, UDP, 0) + here + here
    return bytes(12) + b"\x08\x00" + head + struct.pack("!HHHH", 1, _PORT, 8, 0)
