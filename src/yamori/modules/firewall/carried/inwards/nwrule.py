"""One rule of a network filter: whose packets it means, seen from the VM (formatnwfilter, Supported protocols)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from yamori.model.filter_rule import ICMP, ICMPV6, TCP, UDP, Direction, Network, Span
from yamori.modules.firewall.carried.markup import Element
from yamori.modules.firewall.carried.ordered import Party, Step
from yamori.modules.firewall.networks import EVERYTHING4, EVERYTHING6, networks
from yamori.modules.firewall.service import Match
from yamori.policy.nodes import tidy

_BARE = {"tcp": TCP, "udp": UDP, "sctp": 132, "esp": 50, "ah": 51, "udplite": 136, "all": None}
PROTOCOLS: Mapping[str, tuple[int | None, int]] = {
    **{name: (number, 4) for name, number in _BARE.items()},
    **{f"{name}-ipv6": (number, 6) for name, number in _BARE.items()},
    "icmp": (ICMP, 4),
    "igmp": (2, 4),
    "icmpv6": (ICMPV6, 6),
}
"""By the element's name: protocol and family."""
LAYER2 = frozenset({"", "mac", "ip", "ipv6", "arp", "rarp", "stp", "vlan"})
_NOT_IP = frozenset({"arp", "rarp", "stp", "vlan"})
_PARTS = {"ipaddr", "ipmask", "ipfrom", "ipto", "portstart", "portend", "macaddr", "macmask"}
_KNOWN = {f"{side}{part}" for side in ("src", "dst") for part in _PARTS} | {
    "type",
    "comment",
    "state",
    "protocolid",
}


class Unsaid(Exception):
    """Why a rule cannot be carried over; ``denies``: it would have denied something that is not known."""

    def __init__(self, why: str, *, denies: bool = False, by_hand: bool = False, told: bool = False) -> None:
        self.denies, self.by_hand, self.told = denies, by_hand, told
        super().__init__(why)


def step(rule: Element, way: Direction, title: str) -> Step | None:
    """Return what a rule means one way; None when nothing. Raises Unsaid."""
    action, direction = rule.attributes.get("action"), rule.attributes.get("direction")
    if direction not in ("in", "out", "inout"):
        raise Unsaid("its direction is not known here", denies=action != "accept", told=True)
    if direction not in (way.value, "inout") or action == "continue":
        return None
    if action not in ("accept", "drop", "reject"):
        raise Unsaid(f"action {tidy(str(action), 40)!r} is not known here")
    denies = action != "accept"
    if rule.attributes.get("unknown"):
        raise Unsaid("what it denies is not known", denies=True)
    if rule.attributes.get("statematch") in ("0", "false") and not denies:
        raise Unsaid("statematch off: answers would pass here")
    if len(rule.children) > 1:
        raise Unsaid("it has several protocols", denies=denies)
    if not rule.children:
        return Step(title=title, allow=not denies)
    return _of(rule.children[0], way, title, both=direction == "inout", denies=denies)


def _of(what: Element, way: Direction, title: str, *, both: bool, denies: bool) -> Step | None:
    given = {key: value for key, value in what.attributes.items() if key != "comment"}
    if what.tag in _NOT_IP or (denies and _is_identity(what.tag, given, way)):
        raise Unsaid("frames other than IP, and what a card may claim, are held by identity", by_hand=True)
    if what.tag in ("mac", "ip", "ipv6"):
        return _below(what.tag, given, title, denies=denies)
    if what.tag not in PROTOCOLS:
        raise Unsaid(f"protocol {tidy(what.tag, 40)!r} is not known here", denies=denies)
    for key, value in given.items():
        if key not in _KNOWN:
            raise Unsaid(f"attribute {tidy(key, 40)!r} is not known here", denies=denies)
        if key == "state" and "NEW" not in value.upper().split(","):
            raise Unsaid("answers pass of themselves here", by_hand=not denies, denies=denies)
    if both and any(key[:3] in ("src", "dst") for key in given):
        raise Unsaid("both ways, with conditions on a side", denies=denies)
    own, other = ("dst", "src") if way is Direction.IN else ("src", "dst")
    _own(given, own, denies=denies)
    protocol, family = PROTOCOLS[what.tag]
    peers = _peers(given, other, family, denies=denies)
    called, calling = (own, other) if way is Direction.IN else (other, own)
    match = Match(
        protocol=protocol,
        ports=_ports(given, called, protocol, denies=denies),
        client_ports=_ports(given, calling, protocol, denies=denies),
        types=_types(given, protocol, denies=denies),
    )
    return Step(title=title, allow=not denies, peer=Party(networks=peers), matches=(match,))


def _is_identity(tag: str, given: dict[str, str], way: Direction) -> bool:
    """Say whether a denial is of frames that do not bear the card's own MAC or address."""
    if way is not Direction.OUT or given.get("match") != "no":
        return False
    rest = set(given) - {"match", "srcmacmask", "srcipmask"}
    return (tag in ("mac", "ip", "ipv6") and rest == {"srcmacaddr"} and given["srcmacaddr"] == "$MAC") or (
        tag in ("ip", "ipv6") and rest == {"srcipaddr"} and given["srcipaddr"] in ("$IP", "$IPV6")
    )


def _below(tag: str, given: dict[str, str], title: str, *, denies: bool) -> Step | None:
    """Return what a rule about frames means for IP: only the plainest are understood."""
    family: dict[str, Network] = {"ip": EVERYTHING4, "ipv6": EVERYTHING6}
    words = {"ipv4": "ip", "0x800": "ip", "ipv6": "ipv6", "0x86dd": "ipv6"}
    kind = words.get(given.get("protocolid", "").lower(), tag)
    if set(given) - {"protocolid"} or (given and kind == "mac"):
        if given.get("protocolid", "").lower() in ("arp", "rarp", "0x806", "0x8035", "0x835", "stp", "vlan"):
            raise Unsaid("frames other than IP are held by identity", by_hand=True)
        raise Unsaid("a rule about frames with conditions", denies=denies)
    if kind == "mac":
        return Step(title=title, allow=not denies)
    return Step(title=title, allow=not denies, peer=Party(networks=(family[kind],)))


def _own(given: dict[str, str], side: str, *, denies: bool) -> None:
    for part in ("ipaddr", "ipfrom", "ipto", "macaddr"):
        value = given.get(f"{side}{part}")
        if value is not None and value not in ("$IP", "$IPV6", "$MAC"):
            raise Unsaid("it names the VM's own address", denies=denies)


def _peers(given: dict[str, str], side: str, family: int, *, denies: bool) -> tuple[Network, ...]:
    if f"{side}macaddr" in given:
        raise Unsaid("it names the other side's MAC", denies=denies)
    first, last = given.get(f"{side}ipfrom"), given.get(f"{side}ipto")
    address, mask = given.get(f"{side}ipaddr"), given.get(f"{side}ipmask")
    try:
        if first is not None or last is not None:
            found = networks(f"{first}-{last}")
        elif address is not None:
            found = (ip_network(address if mask is None else f"{address}/{mask}", strict=False),)
        else:
            return (EVERYTHING4,) if family == 4 else (EVERYTHING6,)
    except ValueError:
        found = None
    if not found or found[0].version != family:
        raise Unsaid(f"{tidy(str(address or first), 60)!r} is no address here (variables are not)", denies=denies)
    return found


def _ports(given: dict[str, str], side: str, protocol: int | None, *, denies: bool) -> tuple[Span, ...]:
    low = given.get(f"{side}portstart")
    high = given.get(f"{side}portend", low)
    if low is None and high is None:
        return ()
    if protocol not in (TCP, UDP):
        raise Unsaid("ports of this protocol are not looked at here", denies=denies)
    try:
        first, last = int(low or high or "", 0), int(high or "", 0)
    except ValueError:
        raise Unsaid(f"{tidy(str(low), 40)!r} is no port here (variables are not)", denies=denies) from None
    if not 0 <= first <= last <= 65535:
        raise Unsaid("this is no range of ports", denies=denies)
    return (Span(low=first, high=last),)


def _types(given: dict[str, str], protocol: int | None, *, denies: bool) -> tuple[int, ...]:
    if "type" not in given:
        return ()
    if protocol not in (ICMP, ICMPV6):
        raise Unsaid("a type belongs to ICMP", denies=denies)
    try:
        number = int(given["type"], 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 255:
        raise Unsaid("this is no ICMP type here (variables are not)", denies=denies)
    return (number,)
