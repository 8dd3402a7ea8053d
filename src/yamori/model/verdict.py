"""The meaning of a Filter: what becomes of one packet. Written to be obviously right, not to be fast.

Every engine is held against this (tests/agent/filter). Order: blocks, the rate of packets, identity, the rates of
connections, ICMP errors, rules, replies, and drop. What is decided first decides, and its id is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from yamori.model.filter import Filter, Replies
from yamori.model.filter_rule import (
    ACK,
    FIN,
    ICMP,
    ICMPV6,
    OPENING,
    RST,
    SYN,
    TCP,
    Block,
    Direction,
    Flags,
    Rate,
    Rule,
)
from yamori.model.identity import LOCAL_GROUP, Decided, identify, is_for_bridge, is_mine, within
from yamori.model.packet import IPV4, IPV6, Address, Ip, Packet

ANSWERS: Mapping[int, Mapping[int, int]] = {ICMP: {8: 0, 13: 14}, ICMPV6: {128: 129}}
"""Of ICMP and ICMPv6: which request has which answer (echo and timestamp; RFC 792, RFC 4443)."""
ERRORS: Mapping[int, frozenset[int]] = {ICMP: frozenset({3, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4})}
"""Types that report on a packet, and quote it: unreachable, too big, time exceeded, parameter problem."""

BY_DEFAULT, ERROR, FRAGMENT = "port:default", "port:icmp-error", "port:fragment"
PACKETS, CONNECTIONS, PEER = "port:rate-packets", "port:rate-connections", "port:rate-peer"
REPLY = "reply:"
"""Stands before the id of the rule whose answers these are."""

_GOING_ON = Flags(mask=SYN | ACK | RST | FIN, value=ACK)

Flow = tuple[int, Address, int, Address, int]
"""Protocol, who opened it and from which port, to whom and which port. ICMP: twice the request's type and id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a packet, and the id of what decided."""

    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Seconds' worth of packets that are left, and when they were counted."""

    left_s: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one port remembers: the moment, connections that were let open, and buckets by their name."""

    now: datetime
    flows: frozenset[Flow] = frozenset()
    buckets: Mapping[str, Bucket] = field(default_factory=lambda: MappingProxyType({}))


def verdict(wanted: Filter, packet: Packet, state: State, *, proven: bool) -> Verdict:
    """Say what becomes of a packet; ``proven`` says that the host tracks connections."""
    return judge(wanted, packet, state, proven=proven)[0]


def judge(wanted: Filter, packet: Packet, state: State, *, proven: bool) -> tuple[Verdict, State]:
    """Say what becomes of a packet, and what is remembered after it."""
    way = packet.direction
    if way is Direction.OUT and is_for_bridge(packet.target_mac):
        return _told(Decided(rule=LOCAL_GROUP)), state  # a bridge learns from it before it asks anybody
    ip = packet.body if isinstance(packet.body, Ip) and packet.kind in (IPV4, IPV6) else None
    for block in wanted.blocks:
        if ip is not None and block.direction is way and state.now < block.until and _blocked(block, ip):
            return Verdict(allowed=False, rule=block.id), state
    inwards = way is Direction.IN
    state, held = _hold(state, f"packets {way}", wanted.rates.packets_in if inwards else wanted.rates.packets_out)
    if held:
        return Verdict(allowed=False, rule=PACKETS), state
    decided = identify(wanted, packet)
    if decided is not None:
        return _told(decided), _remember(state, ip, decided)
    assert ip is not None, "only IP is left to the rules"  # noqa: S101 -- what identify promises
    if ip.protocol == TCP and ip.offset == 0 and _fits_flags(OPENING, ip.flags):
        rate, alone = (
            (wanted.rates.connections_in, wanted.rates.peer_in)
            if inwards
            else (wanted.rates.connections_out, wanted.rates.peer_out)
        )
        state, held = _hold(state, f"connections {way}", rate)
        if held:
            return Verdict(allowed=False, rule=CONNECTIONS), state
        state, held = _hold(state, f"peer {way} {_peer(ip, way)}", alone)
        if held:
            return Verdict(allowed=False, rule=PEER), state
    decided = _by_rules(wanted, ip, way, state, proven=proven)
    return _told(decided), _remember(state, ip, decided)


def _by_rules(wanted: Filter, ip: Ip, way: Direction, state: State, *, proven: bool) -> Decided:
    if ip.offset and not wanted.fragments:
        return Decided(rule=FRAGMENT)
    if wanted.errors and _is_error(wanted, ip, way) and (not proven or _about_known(ip, state)):
        return Decided(rule=ERROR, allowed=True)
    for rule in wanted.in_force:
        if rule.direction is way and _opens(rule, ip, way):
            return Decided(rule=rule.id, allowed=True)
    if wanted.replies is not Replies.NONE and (not proven or _reversed(_flow(ip)) in state.flows):
        for rule in wanted.in_force:
            if rule.direction is not way and _answers(rule, ip, way):
                return Decided(rule=REPLY + rule.id, allowed=True)
    return Decided(rule=BY_DEFAULT)


def _opens(rule: Rule, ip: Ip, way: Direction) -> bool:
    """Say whether a packet may open, or go on with, what a rule allows to be opened."""
    if not _fits_peer(rule, ip, way):
        return False
    if ip.offset:
        return ip.protocol != TCP
    if rule.types and (ip.icmp is None or ip.icmp.type not in rule.types):
        return False
    return _within(rule.ports, ip.target_port) and _within(rule.client_ports, ip.source_port)


def _answers(rule: Rule, ip: Ip, way: Direction) -> bool:
    """Say whether a packet has the form of an answer to what a rule allows the other way to be opened."""
    if not _fits_peer(rule, ip, way):
        return False
    if ip.offset:
        return ip.protocol != TCP
    if ip.protocol in ANSWERS:
        asked = {answer: request for request, answer in ANSWERS[ip.protocol].items()}
        request = None if ip.icmp is None else asked.get(ip.icmp.type)
        return request is not None and (not rule.types or request in rule.types)
    if ip.protocol == TCP and (ip.source_port is None or _fits_flags(OPENING, ip.flags)):
        return False
    return _within(rule.ports, ip.source_port) and _within(rule.client_ports, ip.target_port)


def _fits_peer(rule: Rule, ip: Ip, way: Direction) -> bool:
    if rule.protocol is not None and rule.protocol != ip.protocol:
        return False
    if ip.protocol == (ICMP if ip.source.version == 6 else ICMPV6):
        return False  # ICMP over IPv6 and ICMPv6 over IPv4 mean nothing
    return not rule.peers or within(_peer(ip, way), rule.peers)


def _is_error(wanted: Filter, ip: Ip, way: Direction) -> bool:
    if ip.icmp is None or ip.icmp.type not in ERRORS.get(ip.protocol, ()) or ip.icmp.quote is None:
        return False
    if ip.protocol != (ICMP if ip.source.version == 4 else ICMPV6):
        return False
    quote = ip.icmp.quote
    return is_mine(wanted, quote.source if way is Direction.IN else quote.target)


def _about_known(ip: Ip, state: State) -> bool:
    quote = None if ip.icmp is None else ip.icmp.quote
    if quote is None or quote.source != ip.target:
        return False
    flow = (quote.protocol, quote.source, quote.source_port, quote.target, quote.target_port)
    return flow in state.flows or _reversed(flow) in state.flows


def _blocked(block: Block, ip: Ip) -> bool:
    if block.peers and not within(_peer(ip, block.direction), block.peers):
        return False
    if block.protocol is not None and block.protocol != ip.protocol:
        return False
    if block.hops is not None and ip.hops not in block.hops:
        return False
    if block.flags is not None and (
        ip.source_port is None or ip.headless or not _fits_flags(block.flags, ip.flags)
    ):
        return False
    return _within(block.ports, ip.target_port) and _within(block.source_ports, ip.source_port)


def _fits_flags(flags: Flags, there: int) -> bool:
    return there & flags.mask == flags.value


def _within(spans: tuple[object, ...], port: int | None) -> bool:
    return not spans or (port is not None and any(port in span for span in spans))  # type: ignore[operator]


def _peer(ip: Ip, way: Direction) -> Address:
    return ip.source if way is Direction.IN else ip.target


def _hold(state: State, name: str, rate: Rate | None) -> tuple[State, bool]:
    """Take one packet's worth out of a bucket; tell whether there was none left."""
    if rate is None:
        return state, False
    worth, full = 1 / rate.per_second, rate.burst / rate.per_second
    bucket = state.buckets.get(name, Bucket(left_s=full, at=state.now))
    left = min(full, bucket.left_s + (state.now - bucket.at).total_seconds())
    held = left < worth
    after = Bucket(left_s=left if held else left - worth, at=state.now)
    return replace(state, buckets=MappingProxyType({**state.buckets, name: after})), held


def _flow(ip: Ip) -> Flow:
    if ip.icmp is not None:
        asked = {answer: request for request, answer in ANSWERS.get(ip.protocol, {}).items()}
        number = asked.get(ip.icmp.type, ip.icmp.type) << 16 | ip.icmp.identity
        return ip.protocol, ip.source, number, ip.target, number
    return ip.protocol, ip.source, ip.source_port or 0, ip.target, ip.target_port or 0


def _reversed(flow: Flow) -> Flow:
    protocol, source, source_port, target, target_port = flow
    return protocol, target, target_port, source, source_port


def _remember(state: State, ip: Ip | None, decided: Decided) -> State:
    """Keep what was opened, as connection tracking does: not what only answers or reports.

    TCP that goes on with what began elsewhere counts as opened, so that a VM's connections survive its move.
    """
    if ip is None or not decided.allowed or ip.offset:
        return state
    if ip.icmp is not None and ip.icmp.type not in ANSWERS.get(ip.protocol, {}):
        return state
    if ip.protocol == TCP and not (_fits_flags(OPENING, ip.flags) or _fits_flags(_GOING_ON, ip.flags)):
        return state
    flow = _flow(ip)
    return state if _reversed(flow) in state.flows else replace(state, flows=state.flows | {flow})


def _told(decided: Decided) -> Verdict:
    return Verdict(allowed=decided.allowed, rule=decided.rule)
