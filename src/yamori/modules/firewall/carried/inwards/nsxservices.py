"""Entries of services of NSX (Policy API: L4PortSetServiceEntry, ICMPTypeServiceEntry, IPProtocolServiceEntry)."""

from __future__ import annotations

from typing import Any

from yamori.model.filter_rule import ICMP, ICMPV6, TCP, UDP
from yamori.modules.firewall.carried.inwards.nsxgroups import Unsaid
from yamori.modules.firewall.carried.plainjson import listed, number, text
from yamori.modules.firewall.service import Match, spans


def entry_of(entry: dict[str, Any]) -> tuple[Match, ...]:
    """Return what one entry of a service means. Raises Unsaid."""
    kind = text(entry.get("resource_type"))
    if kind == "L4PortSetServiceEntry":
        return (_ports(entry),)
    if kind == "ICMPTypeServiceEntry":
        return (_icmp(entry),)
    if kind == "IPProtocolServiceEntry":
        value = number(entry.get("protocol_number"))
        if value is None or value > 255:
            raise Unsaid("a protocol without a number")
        return (Match(protocol=value),)
    raise Unsaid(f"service entry {kind or 'without a type'} is not known here")


def _ports(entry: dict[str, Any]) -> Match:
    protocol = {"TCP": TCP, "UDP": UDP}.get(text(entry.get("l4_protocol")))
    if protocol is None:
        raise Unsaid(f"protocol {text(entry.get('l4_protocol'), 40)} has no ports here")
    called, calling = listed(entry.get("destination_ports")), listed(entry.get("source_ports"))
    try:
        return Match(
            protocol=protocol,
            ports=spans([text(each) for each in called]) if called else (),
            client_ports=spans([text(each) for each in calling]) if calling else (),
        )
    except ValueError as error:
        raise Unsaid(str(error)) from None


def _icmp(entry: dict[str, Any]) -> Match:
    protocol = {"ICMPv4": ICMP, "ICMPv6": ICMPV6}.get(text(entry.get("protocol")))
    if protocol is None or entry.get("icmp_code") is not None:
        raise Unsaid("an ICMP code, or no family: not told apart here")
    kind = number(entry.get("icmp_type"))
    if kind is not None and kind > 255:
        raise Unsaid(f"{kind} is no ICMP type")
    return Match(protocol=protocol, types=() if kind is None else (kind,))
