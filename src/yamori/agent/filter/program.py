"""From a Filter to what the kernel runs for its port. Pure: the same Filter is always the same program.

Each way has a chain that begins with blocks, rates and what is not IP, and one for each IP version. What a packet
costs depends on the rules of its own port only: which port that is was looked up in a map before.
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
    identity,
    local_group,
    messages,
    outside_ip,
    whole_head,
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
_ENDINGS = ("", "-first", "-nd", "4", "6", "4-rules", "6-rules")


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
    return "p" + sha256(port.encode()).hexdigest()[:20]


def chain_of(port: str, way: Direction) -> str:
    """Return the name of the chain that a packet of this port enters."""
    return f"{stem(port)}-{way}"


def chains_of(port: str) -> tuple[str, ...]:
    """Return the names of all chains that a port may have."""
    return tuple(chain_of(port, way) + ending for way in Direction for ending in _ENDINGS)


def compiled(wanted: Filter, proof: Proof | None) -> Program:
    """Translate a Filter; ``proof`` is how the host proves replies, None if it cannot."""
    shared: Shared = {}
    meters: dict[str, int] = {}
    chains: dict[str, tuple[Line, ...]] = {}
    for way in Direction:
        name = chain_of(wanted.port, way)
        opening = _openings(wanted, way, name, meters)
        first = local_group() if way is Direction.OUT else []
        first += [*_blocks(wanted, way, shared), *_packets(wanted, way), *outside_ip(wanted, way, shared)]
        for version, kind in KINDS.items():
            own = identity(wanted, way, version, shared)
            if version == 6:
                own.insert(0, lead(protocol(ICMPV6), f"{name}-nd", x.JUMP))
                own.insert(0, lead(first_fragment(), f"{name}-first", x.JUMP))
            rest = policy(wanted, way, version, proof, shared)
            if opening:
                chains[f"{name}{version}"] = tuple(own)
                chains[f"{name}{version}-rules"] = tuple(rest)
            else:
                chains[f"{name}{version}"] = (*own, *rest)
            first.append(lead(is_(At.LINK, 12, kind), f"{name}{version}", x.JUMP if opening else x.GOTO))
        if opening:
            first += opening
            first += [lead(is_(At.LINK, 12, kind), f"{name}{v}-rules") for v, kind in KINDS.items()]
        chains[f"{name}-first"] = tuple(whole_head())
        chains[f"{name}-nd"] = tuple(messages(wanted, way, shared))
        chains[name] = tuple(first)
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


def _openings(wanted: Filter, way: Direction, name: str, meters: dict[str, int]) -> list[Line]:
    inwards = way is Direction.IN
    rates = wanted.rates
    every, each = (rates.connections_in, rates.peer_in) if inwards else (rates.connections_out, rates.peer_out)
    opens = (*protocol(TCP), *bits(At.TRANSPORT, 13, bytes([OPENING.mask]), bytes([OPENING.value])))
    found: list[Line] = []
    if every is not None:
        found.append(_over(means.CONNECTIONS, opens, x.over(every.per_second, every.burst)))
    if each is not None:
        for version, kind in KINDS.items():
            found.append(_over_each(each, version, (*is_(At.LINK, 12, kind), *opens), way, name, meters))
    return found


def _over_each(rate: Rate, version: int, opens: Test, way: Direction, name: str, meters: dict[str, int]) -> Line:
    at, length = (SOURCE if way is Direction.IN else TARGET)[version], 4 if version == 4 else 16
    meter = f"{name}{version}-{rate.per_second}-{rate.burst}"
    meters[meter] = length
    load = x.load(At.NETWORK, at, length)
    return _over(means.PEER, (*opens, load), x.over_each(meter, rate.per_second, rate.burst, _FORGET_MS))


def _over(rule: str, test: Test, limit: x.Expression) -> Line:
    return Line(id=rule, steps=(*test, limit, x.count(), x.end(x.DROP)))
