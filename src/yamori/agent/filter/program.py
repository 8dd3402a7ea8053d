"""From a Filter to what the kernel runs for its port. Pure: the same Filter is always the same program.

Each way has a chain that begins with blocks, rates and what is not IP, and goes on with IPv4; one for IPv6, one
for heads of IPv6 messages, one for rates of connections. A packet costs what its own port's rules cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from yamori.agent.filter import expressions as x
from yamori.agent.filter.expressions import At
from yamori.agent.filter.identity import (
    SOURCE,
    TARGET,
    first_fragment,
    heads,
    identity,
    local_group,
    outside_ip,
)
from yamori.agent.filter.line import (
    ANYTHING,
    Choice,
    Line,
    Shared,
    Test,
    before,
    between,
    bits,
    is_,
    lead,
    lines,
    networks,
    ports,
    protocol,
)
from yamori.agent.filter.policy import Proof, policy
from yamori.model import verdict as means
from yamori.model.filter import Filter
from yamori.model.filter_rule import ICMPV6, OPENING, TCP, Block, Direction, Rate
from yamori.model.packet import IPV4, IPV6

KINDS: Mapping[int, bytes] = {4: IPV4.to_bytes(2, "big"), 6: IPV6.to_bytes(2, "big")}
_FORGET_MS = 60_000
"""How long a peer's rate is remembered after its last connection."""
PEERS_COUNTED = 65_535
_STEM = 21
_IPV6, _HEAD, _OPENING = "6", "6-head", "-open"
_ENDINGS = ("", _IPV6, _HEAD, _OPENING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """All chains of one port, the sets that they share with others, and the meters of their own (key length).

    ``gate`` comes before the bridge sees a frame of the VM at all, at the interface itself.
    """

    port: str
    chains: Mapping[str, tuple[Line, ...]]
    sets: Mapping[str, tuple[tuple[bytes, bytes], ...]]
    meters: Mapping[str, int]
    gate: tuple[Line, ...]


def stem(port: str) -> str:
    """Return what the names of a port's chains begin with: its id may be anybody's words, a digest is not."""
    return "p" + sha256(port.encode()).hexdigest()[: _STEM - 1]


def stem_of(chain: str) -> str:
    """Return the stem in a chain's name; of a foreign chain, what stands there."""
    return chain[:_STEM]


def entrance(stem_: str, way: Direction) -> str:
    """Return the name of the chain that a port's packets enter."""
    return f"{stem_}-{way}"


def chain_of(port: str, way: Direction) -> str:
    """Return the name of the chain that a packet of this port enters."""
    return entrance(stem(port), way)


def chains_of(stem_: str) -> tuple[str, ...]:
    """Return the names of all chains that a port may have."""
    return tuple(entrance(stem_, way) + ending for way in Direction for ending in _ENDINGS)


def compiled(wanted: Filter, proof: Proof | None) -> Program:
    """Translate a Filter; ``proof`` is how the host proves replies, None if it cannot.

    Few chains: at each commit the kernel visits all chains of its network namespace.
    """
    shared: Shared = {}
    meters: dict[str, int] = {}
    chains: dict[str, tuple[Line, ...]] = {}
    for way in Direction:
        name = entrance(stem(wanted.port), way)
        first = local_group() if way is Direction.OUT else []
        first += [*_blocks(wanted, way, shared), *_packets(wanted, way), *outside_ip(wanted, way, shared)]
        opening = _openings(wanted, way, name, meters)
        held = [lead(opens(), name + _OPENING, x.JUMP)] if opening else []
        rest = {
            version: [*identity(wanted, way, version, shared), *held, *policy(wanted, way, version, proof, shared)]
            for version in KINDS
        }
        head = [lead(test, name + _HEAD, x.JUMP) for test in (first_fragment(), protocol(ICMPV6))]
        chains[name] = (*first, lead(is_(At.LINK, 12, KINDS[6]), name + _IPV6), *rest[4])
        chains[name + _IPV6] = (*head, *rest[6])
        chains[name + _HEAD] = tuple(heads(wanted, way, shared))
        if opening:
            chains[name + _OPENING] = tuple(opening)
    return Program(
        port=wanted.port,
        chains=MappingProxyType(chains),
        sets=MappingProxyType(shared),
        meters=MappingProxyType(meters),
        gate=tuple(local_group()),
    )


def _blocks(wanted: Filter, way: Direction, shared: Shared) -> list[Line]:
    found: list[Line] = []
    for block in wanted.blocks:
        if block.direction is way:
            for version in KINDS:
                found += _block(block, version, shared)
    return found


def _block(block: Block, version: int, shared: Shared) -> list[Line]:
    at = (SOURCE if block.direction is Direction.IN else TARGET)[version]
    peers = networks(At.NETWORK, at, block.peers, shared, version) if block.peers else ANYTHING
    hops: Choice = ANYTHING
    if block.hops is not None:
        low, high = bytes([block.hops.low]), bytes([block.hops.high])
        hops = (between(At.NETWORK, 8 if version == 4 else 7, low, high),)
    flags: Choice = ANYTHING
    if block.flags is not None:
        flags = (bits(At.TRANSPORT, 13, bytes([block.flags.mask]), bytes([block.flags.value])),)
    return lines(
        block.id,
        ((*is_(At.LINK, 12, KINDS[version]), *before(block.until)),),
        ANYTHING if block.protocol is None else (protocol(block.protocol),),
        hops,
        peers,
        flags,
        ports(0, block.source_ports, shared),
        ports(2, block.ports, shared),
    )


def _packets(wanted: Filter, way: Direction) -> list[Line]:
    rate = wanted.rates.packets_in if way is Direction.IN else wanted.rates.packets_out
    return [] if rate is None else [_over(means.PACKETS, (), x.over(rate.per_second, rate.burst))]


def opens() -> Test:
    """The packet opens a TCP connection."""
    return (*protocol(TCP), *bits(At.TRANSPORT, 13, bytes([OPENING.mask]), bytes([OPENING.value])))


def _openings(wanted: Filter, way: Direction, name: str, meters: dict[str, int]) -> list[Line]:
    """Hold back what opens too many connections; nothing else comes here."""
    inwards = way is Direction.IN
    rates = wanted.rates
    every, each = (rates.connections_in, rates.peer_in) if inwards else (rates.connections_out, rates.peer_out)
    found: list[Line] = []
    if every is not None:
        found.append(_over(means.CONNECTIONS, (), x.over(every.per_second, every.burst)))
    if each is not None:
        found += [_over_each(each, version, way, name, meters) for version in KINDS]
    return found


def _over_each(rate: Rate, version: int, way: Direction, name: str, meters: dict[str, int]) -> Line:
    at, length = (SOURCE if way is Direction.IN else TARGET)[version], 4 if version == 4 else 16
    meter = f"{name}{version}-{rate.per_second}-{rate.burst}"
    meters[meter] = length
    peer = (*is_(At.LINK, 12, KINDS[version]), x.load(At.NETWORK, at, length))
    return _over(means.PEER, peer, x.over_each(meter, rate.per_second, rate.burst, _FORGET_MS))


def _over(rule: str, test: Test, limit: x.Expression) -> Line:
    return Line(id=rule, steps=(*test, limit, x.count(), x.end(x.DROP)))
