"""Random groups documents and packets, from a world so small that they often have to do with one another."""

from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from tests.modules.firewall.fleets import four, vm
from yamori.model.filter_rule import ACK, ICMP, ICMPV6, SYN, TCP, UDP, Direction
from yamori.model.packet import IPV4, IPV6, Icmp, Ip, Packet

NAMES = ("web", "db", "Odd (name)", "ops")
VMS = ("a", "b", "c", "d")
NETWORKS = ("10.0.0.0/24", "10.0.0.2", "192.0.2.0/25", "2001:db8::/64", "0.0.0.0/0", "198.51.100.7")
SERVICES = (
    "any",
    "tcp/443",
    "tcp/80-90",
    "udp/53",
    "tcp",
    "icmp/8",
    "icmpv6",
    "gre",
    "callers",
    "sctp",
    "ping",
    "ssh",
)
PORTS = (22, 53, 80, 85, 91, 443, 50_000)
PEERS = tuple(ip_address(a) for a in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "192.0.2.9", "198.51.100.7"))
PEERS6 = tuple(ip_address(a) for a in ("2001:db8::1", "2001:db8::3", "2001:db8:1::1"))


@st.composite
def documents(draw: Any, services: tuple[str, ...] = SERVICES, unusual: bool = True) -> str:
    """A document whose selectors are by label; most groups deny, as is usual."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3))
    lines = ["version: 1", "services: {callers: [{protocol: tcp, ports: 22, client_ports: 1000-2000}]}", "groups:"]
    for name in names:
        rest = (
            draw(st.sampled_from(["", "", "", ", default: {in: deny, out: allow}", ", default: allow"]))
            if unusual
            else ""
        )
        select = draw(
            st.sampled_from(
                ["label: {KEY: 'y'}", "label: {KEY: ['y', 'z']}", "name: ['a', 'b']", "not: {name: 'a'}"]
            )
        )
        lines.append(f"  {name}: {{select: {{{select.replace('KEY', name[:3].lower())}}}, mode: enforce{rest}}}")
    if draw(st.booleans()):
        rest = draw(st.sampled_from(["", ", default: allow"]))
        lines.append(f"  default: {{mode: enforce{rest}}}")
        names.append("default")
    lines.append("rules:")
    for number in range(draw(st.integers(1, 5))):
        owner = draw(st.sampled_from(names))
        words = draw(
            st.lists(st.sampled_from([*names, *NETWORKS]), min_size=1, max_size=3, unique=True) | st.just(["any"])
        )
        wanted = draw(st.lists(st.sampled_from(services), min_size=1, max_size=3, unique=True))
        one, other = (owner, words) if draw(st.booleans()) else (words, owner)
        at = draw(st.sampled_from(["both", "both", "from" if one == owner else "to"]))
        less = draw(
            st.sampled_from(["", "", "", ", except: [10.0.0.2, 192.0.2.0/26]", ", except: '2001:db8::/126'"])
        )
        lines.append(f"  - {{id: r {number}, from: {one}, to: {other}, services: {wanted}, at: {at}{less}}}")
    return "\n".join(lines).replace("'any', ", "").replace("['any']", "any").replace(", 'any'", "") + "\n"


@st.composite
def machines(draw: Any) -> list[Any]:
    found = []
    for number, name in enumerate(VMS):
        labels = {n[:3].lower(): draw(st.sampled_from(["y", "z", "x"])) for n in NAMES if draw(st.booleans())}
        found.append(vm(name, number + 1, **labels))
    return found


@st.composite
def packets(draw: Any, number: int, hardware: bytes) -> Packet:
    """One packet at the card of the VM with this number."""
    way = draw(st.sampled_from(Direction))
    six = draw(st.integers(0, 3)) == 0
    own = ip_address(f"2001:db8::{number:x}" if six else four(number))
    peer = draw(st.sampled_from([each for each in (PEERS6 if six else PEERS) if each != own]))
    protocol = draw(st.sampled_from([TCP, TCP, TCP, UDP, ICMPV6 if six else ICMP, 47, 132]))
    ported = protocol in (TCP, UDP)
    body = Ip(
        source=own if way is Direction.OUT else peer,
        target=peer if way is Direction.OUT else own,
        protocol=protocol,
        source_port=draw(st.sampled_from(PORTS)) if ported else None,
        target_port=draw(st.sampled_from(PORTS)) if ported else None,
        flags=draw(st.sampled_from([SYN, SYN, ACK, SYN | ACK])) if protocol == TCP else 0,
        icmp=Icmp(type=draw(st.sampled_from([8, 0, 128, 129, 13] if six else [8, 0, 13])))
        if protocol in (ICMP, ICMPV6)
        else None,
    )
    other = bytes.fromhex("020000000001")
    outwards = way is Direction.OUT
    return Packet(
        direction=way,
        source_mac=hardware if outwards else other,
        target_mac=other if outwards else hardware,
        kind=IPV6 if six else IPV4,
        body=body,
    )
