"""The policy of the firewall's benchmark: a web server with a database, the same for every VM but for its names.

As a Filter, as a plain list of nft rules, and as a filter of libvirt: what it allows is the same in all three, but
the plain list knows no neighbour discovery, DHCP servers or fragments, and so is shorter than it should be.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from yamori.model.filter import Filter
from yamori.model.filter_rule import ICMP, TCP, UDP, Direction, Rule, Span

OFFICES = tuple(IPv4Network(f"10.77.{n}.0/24") for n in range(20))
SERVER = IPv4Address("10.255.0.1")
_NETWORK4, _NETWORK6 = int(IPv4Address("10.128.0.0")), int(IPv6Address("2001:db8::"))
_ADMINS = (IPv4Network("10.0.0.0/24"), IPv4Network("10.2.0.0/16"))


def mac(number: int) -> str:
    """Return the MAC of a VM."""
    return "52:54:" + ":".join(f"{octet:02x}" for octet in number.to_bytes(4, "big"))


def address(number: int) -> IPv4Address:
    """Return the IPv4 address of a VM."""
    return IPv4Address(_NETWORK4 + number)


def card(number: int) -> str:
    """Return the name of a VM's interface."""
    return f"bench{number}"


def wanted(number: int, edition: int = 0) -> Filter:
    """Return a VM's Filter; another edition has one rule another port."""
    return Filter(
        port=f"bench-{number}/0",
        mac=mac(number),
        addresses=(IPv4Network(address(number)), IPv6Network((_NETWORK6 + number, 128))),
        dhcp_servers=(SERVER,),
        routers=(IPv6Address("fe80::1"),),
        rules=(
            Rule(id="ssh", direction=Direction.IN, protocol=TCP, ports=(_one(22),), peers=_ADMINS),
            Rule(id="web", direction=Direction.IN, protocol=TCP, ports=(_one(80), _one(443))),
            Rule(id="database", direction=Direction.IN, protocol=TCP, ports=(_one(5432),), peers=OFFICES),
            Rule(id="ping", direction=Direction.IN, protocol=ICMP, types=(8,)),
            Rule(id="dns", direction=Direction.OUT, protocol=UDP, ports=(_one(53),)),
            Rule(id="time", direction=Direction.OUT, protocol=UDP, ports=(_one(123),)),
            Rule(id="https", direction=Direction.OUT, protocol=TCP, ports=(_one(443),)),
            Rule(id="api", direction=Direction.OUT, protocol=TCP, ports=(Span(low=8000, high=8100 + edition),)),
        ),
    )


def _one(port: int) -> Span:
    return Span(low=port, high=port)


def linear(numbers: Iterator[int]) -> str:
    """Write the policy as one list of rules in the order of the VMs, as an administrator would, for ``nft -f``."""
    lines = [
        "table bridge plain {",
        " chain sent { }",
        " chain got { }",
        " chain first {",
        "  type filter hook prerouting priority -300; policy accept;",
        "  jump sent",
        " }",
        " chain last {",
        "  type filter hook postrouting priority 300; policy accept;",
        "  jump got",
        " }",
        "}",
    ]
    for number in numbers:
        out, into = f'add rule bridge plain sent iifname "{card(number)}"', "add rule bridge plain got"
        into += f' oifname "{card(number)}"'
        lines += [
            f"{out} ether saddr != {mac(number)} drop",
            f"{out} arp saddr ip {address(number)} accept",
            f"{out} ip saddr != {address(number)} drop",
            f"{out} udp dport 53 accept",
            f"{out} udp dport 123 accept",
            f"{out} tcp dport 443 accept",
            f"{out} tcp dport 8000-8100 accept",
            *(f"{out} tcp sport {port} tcp flags & (syn | ack) != syn accept" for port in (22, 80, 443, 5432)),
            f"{out} icmp type echo-reply accept",
            f"{out} drop",
            f"{into} ether type arp accept",
            *(f"{into} tcp dport 22 ip saddr {each} accept" for each in _ADMINS),
            f"{into} tcp dport 80 accept",
            f"{into} tcp dport 443 accept",
            *(f"{into} tcp dport 5432 ip saddr {each} accept" for each in OFFICES),
            f"{into} icmp type echo-request accept",
            *(f"{into} udp sport {port} accept" for port in (53, 123)),
            f"{into} tcp sport 443 tcp flags & (syn | ack) != syn accept",
            f"{into} tcp sport 8000-8100 tcp flags & (syn | ack) != syn accept",
            f"{into} drop",
        ]
    return "\n".join(lines) + "\n"


def libvirt_filter() -> str:
    """Write the policy as a filter of libvirt."""

    def rule(direction: str, what: str) -> str:
        return f"<rule action='accept' direction='{direction}' priority='500' statematch='false'>{what}</rule>"

    into = [f"<tcp srcipaddr='{n.network_address}' srcipmask='{n.prefixlen}' dstportstart='22'/>" for n in _ADMINS]
    into += [f"<tcp dstportstart='{port}'/>" for port in (80, 443)]
    into += [
        f"<tcp srcipaddr='{n.network_address}' srcipmask='{n.prefixlen}' dstportstart='5432'/>" for n in OFFICES
    ]
    into += ["<icmp type='8'/>", *(f"<udp srcportstart='{port}'/>" for port in (53, 123))]
    into += ["<tcp srcportstart='443'/>", "<tcp srcportstart='8000' srcportend='8100'/>"]
    out = ["<udp dstportstart='53'/>", "<udp dstportstart='123'/>", "<tcp dstportstart='443'/>"]
    out += ["<tcp dstportstart='8000' dstportend='8100'/>", "<icmp type='0'/>"]
    out += [f"<tcp srcportstart='{port}'/>" for port in (22, 80, 443, 5432)]
    rules = [*(rule("in", each) for each in into), *(rule("out", each) for each in out)]
    rules.append("<rule action='drop' direction='inout' priority='1000' statematch='false'><all/></rule>")
    return f"<filter name='bench' chain='root'><filterref filter='clean-traffic'/>{''.join(rules)}</filter>"
