"""A connection that was seen, or is asked about: who called whom, at which card; and the packet that opens it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from yamori.model.errors import Invalid
from yamori.model.filter import Filter
from yamori.model.filter_rule import ICMP, ICMPV6, SYN, TCP, UDP, Direction
from yamori.model.packet import IPV4, IPV6, Address, Icmp, Ip, Packet
from yamori.model.verdict import State, Verdict, verdict

CLIENT_PORT = 49_152
"""The caller's port where none is known: the first dynamic one (RFC 6335)."""
_ECHO = {ICMP: 8, ICMPV6: 128}
_THEIRS = bytes.fromhex("020000000001")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One connection at one card. ``direction`` is who opened it: OUT is the VM itself. Raises Invalid.

    ``own`` is the VM's address, ``peer`` the other side's. ``port``: the called side's, TCP and UDP only.
    ``type``: the first message's of ICMP; left out, an echo request. ``count``: how often it was seen.
    """

    card: str
    direction: Direction
    protocol: int
    own: Address
    peer: Address
    port: int | None = None
    client_port: int | None = None
    type: int | None = None
    count: int = 1

    def __post_init__(self) -> None:
        if self.own.version != self.peer.version:
            raise Invalid("both sides of a flow are of one family", subject=self.card)
        if self.protocol in (TCP, UDP) and self.port is None:
            raise Invalid("a flow of TCP or UDP has a port", subject=self.card)


def opening(flow: Flow, hardware: bytes) -> Packet:
    """Return the packet that opens a flow, as it stands at the card with this MAC."""
    outwards = flow.direction is Direction.OUT
    source, target = (flow.own, flow.peer) if outwards else (flow.peer, flow.own)
    client = None if flow.port is None else (CLIENT_PORT if flow.client_port is None else flow.client_port)
    echo = _ECHO.get(flow.protocol)
    body = Ip(
        source=source,
        target=target,
        protocol=flow.protocol,
        source_port=client,
        target_port=flow.port,
        flags=SYN if flow.protocol == TCP else 0,
        icmp=None if echo is None else Icmp(type=echo if flow.type is None else flow.type),
    )
    return Packet(
        direction=flow.direction,
        source_mac=hardware if outwards else _THEIRS,
        target_mac=_THEIRS if outwards else hardware,
        kind=IPV4 if source.version == 4 else IPV6,
        body=body,
    )


def judged(wanted: Filter, flow: Flow) -> Verdict:
    """Say what becomes of a flow's first packet. Rates begin full, and nothing was open before."""
    return verdict(wanted, opening(flow, wanted.hardware), State(now=_NEVER), proven=False)
