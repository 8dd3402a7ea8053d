"""One line of rules of PVE: direction, action or macro, and options (pve-firewall(8), Firewall Rules)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from yamori.model.filter_rule import ICMP, ICMPV6, TCP, UDP, Direction, Span
from yamori.modules.firewall.service import PROTOCOLS, TYPES, Match, merged, short
from yamori.modules.firewall.wellknown import WELL_KNOWN
from yamori.policy.nodes import tidy


class Unsaid(Exception):
    """Why a line cannot be carried over; ``denies``: it would have denied something."""

    def __init__(self, why: str, *, denies: bool = False) -> None:
        self.denies = denies
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A rule as it is written."""

    way: Direction
    allow: bool
    macro: str | None
    source: str | None
    target: str | None
    protocol: str | None
    ports: str | None
    client_ports: str | None
    types: str | None


_OPTIONS = {
    "-source": "source",
    "-dest": "target",
    "-p": "protocol",
    "-proto": "protocol",
    "-dport": "ports",
    "-sport": "client_ports",
    "-icmp-type": "types",
    "-log": "log",
    "-i": "card",
    "-iface": "card",
    "-enable": "enable",
}
_SHORT = {
    "ping": "icmp/8",
    "dns": "udp/53 tcp/53",
    "dhcpfwd": "udp/67-68",
    "ftp": "tcp/21",
    "git": "tcp/9418",
    "rsync": "tcp/873",
    "ceph": "tcp/6789,3300,6800-7300",
    "mail": "tcp/25,465,587",
    "smtps": "tcp/465",
    "ntp": "udp/123",
    "nfs": "tcp/2049",
    "syslog": "udp/514 tcp/514",
    "squid": "tcp/3128",
    "vnc": "tcp/5900-5909",
    "spiceproxy": "tcp/3128",
    "whois": "tcp/43",
    "ipsec": "udp/500 ip/esp",
    "gre": "ip/gre",
    "ldap": "tcp/389",
    "rdp": "tcp/3389",
    "smb": "udp/135,445 udp/137-139 tcp/135,139,445",
    "ipsecah": "udp/500 ip/ah",
    "openvpn": "udp/1194",
    "webcache": "tcp/8080",
}
_SAME = (
    "ssh",
    "telnet",
    "smtp",
    "http",
    "https",
    "pop3",
    "pop3s",
    "imap",
    "imaps",
    "ldaps",
    "postgresql",
    "mysql",
    "bgp",
)


def _read(words: str) -> tuple[Match, ...]:
    return tuple(match for word in words.split() if (match := short(word)) is not None)


NAMED: Mapping[str, tuple[Match, ...]] = MappingProxyType(
    {
        **{name: WELL_KNOWN[name] for name in _SAME},
        **{name: _read(words) for name, words in _SHORT.items()},
        "submission": _read("tcp/587"),
        "web": _read("tcp/80 tcp/443"),
    }
)
"""Macros by name, lower case."""


def parsed(text: str) -> Line | None:
    """Read one line; None when it is switched off. Raises Unsaid."""
    if text.startswith("|"):
        return None
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise Unsaid(f"it cannot be read: {error}", denies="ACCEPT" not in text) from None
    if len(words) < 2 or words[0].upper() not in ("IN", "OUT"):
        raise Unsaid("it begins with neither IN, OUT nor GROUP")
    macro, action = _action(words[1])
    denies = action != "ACCEPT"
    found: dict[str, str] = {}
    rest = words[2:]
    while rest:
        key = _OPTIONS.get(rest[0].replace("--", "-", 1))
        if key is None or len(rest) < 2:
            raise Unsaid(f"option {tidy(rest[0], 40)!r} is not known here", denies=denies)
        found[key] = rest[1]
        rest = rest[2:]
    if found.get("enable") == "0":
        return None
    if "card" in found:
        raise Unsaid("it is for one card of the VM only", denies=denies)
    return Line(
        way=Direction(words[0].lower()),
        allow=not denies,
        macro=macro,
        **{key: found.get(key) for key in ("source", "target", "protocol", "ports", "client_ports", "types")},
    )


def _action(word: str) -> tuple[str | None, str]:
    macro, bracket, action = word.partition("(")
    action = (action.rstrip(")") if bracket else macro).upper()
    if action not in ("ACCEPT", "DROP", "REJECT"):
        raise Unsaid(f"action {tidy(word, 40)!r} is not known here", denies=True)
    return (macro.lower() if bracket else None), action


def matches_of(line: Line) -> tuple[Match, ...]:
    """Return the services of a line. Raises Unsaid."""
    if line.macro is not None:
        if line.macro not in NAMED:
            raise Unsaid(f"macro {tidy(line.macro, 40)!r} is not known here", denies=not line.allow)
        if line.protocol or line.ports or line.client_ports or line.types:
            raise Unsaid("a macro with further conditions", denies=not line.allow)
        return NAMED[line.macro]
    try:
        protocol = _protocol(line.protocol)
        return (
            Match(
                protocol=protocol,
                ports=_ports(line.ports, protocol),
                client_ports=_ports(line.client_ports, protocol),
                types=_types(line.types, protocol),
            ),
        )
    except ValueError as error:
        raise Unsaid(str(error), denies=not line.allow) from None


def _protocol(word: str | None) -> int | None:
    if word is None:
        return None
    known = {**PROTOCOLS, "ipv6-icmp": ICMPV6, "udplite": 136, "dccp": 33, "ipv6": 41, "egp": 8}
    number = known.get(word.lower(), int(word) if word.isascii() and word.isdigit() else None)
    if number is None or number > 255:
        raise ValueError(f"protocol {tidy(word, 40)!r} is not known here")
    return number


def _ports(words: str | None, protocol: int | None) -> tuple[Span, ...]:
    if words is None:
        return ()
    if protocol in (ICMP, ICMPV6):
        raise ValueError("a port of ICMP: write -icmp-type")
    if protocol not in (TCP, UDP):
        raise ValueError("ports of this protocol are not looked at here")
    found: list[Span] = []
    for word in words.split(","):
        low, colon, high = word.partition(":")
        if not (low.isascii() and low.isdigit() and (not colon or (high.isascii() and high.isdigit()))):
            named = WELL_KNOWN.get(word.lower())
            if named is None or len(named) != 1 or named[0].protocol not in (protocol, TCP):
                raise ValueError(f"port {tidy(word, 40)!r} is not known here by its name")
            found += named[0].ports
        elif not int(low[:9]) <= int((high or low)[:9]) <= 65535:
            raise ValueError(f"{tidy(word, 40)!r} is no range of ports")
        else:
            found.append(Span(low=int(low), high=int(high or low)))
    return merged(found)


def _types(word: str | None, protocol: int | None) -> tuple[int, ...]:
    if word is None:
        return ()
    if protocol not in (ICMP, ICMPV6):
        raise ValueError("an ICMP type belongs to icmp or icmpv6")
    number = TYPES[protocol].get(word, int(word) if word.isascii() and word.isdigit() else None)
    if number is None or number > 255:
        raise ValueError(f"ICMP type {tidy(word, 40)!r} is not known here (codes are not told apart)")
    return (number,)
