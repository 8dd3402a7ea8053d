"""Prefixes, single addresses and ranges, as a person writes them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from yamori.model.filter_rule import Network
from yamori.policy.document import Misplaced
from yamori.policy.nodes import tidy

MOST_IN_A_LIST = 65_536
"""How many prefixes one named list may have."""
EVERYTHING4, EVERYTHING6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")


def network(text: str) -> Network | None:
    """Read ``10.0.0.0/8``, ``2001:db8::/32`` or a single address; None when it is none. Raises ValueError.

    ValueError: it is one with bits set beyond its length, which could mean two things.
    """
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return None
    raise ValueError(f"{text!r} has bits set beyond its length; write {meant}, or the address alone")


def networks(text: str) -> tuple[Network, ...] | None:
    """Read a prefix, an address, or a range ``10.0.0.1-10.0.0.9``; None when it is none. Raises ValueError."""
    low, dash, high = text.partition("-")
    if not dash:
        one = network(text)
        return None if one is None else (one,)
    try:
        first, last = ip_address(low.strip()), ip_address(high.strip())
    except ValueError:
        return None
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address) and first <= last:
        return tuple(summarize_address_range(first, last))
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address) and first <= last:
        return tuple(summarize_address_range(first, last))
    raise ValueError(f"{tidy(text, 60)!r} is no range: both ends of one family, the lower one first")


def collapsed(many: Iterable[Network]) -> tuple[Network, ...]:
    """Return the fewest prefixes that cover the same addresses, IPv4 first, in order."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for each in many:
        if isinstance(each, IPv4Network):
            four.append(each)
        else:
            six.append(each)
    return (*collapse_addresses(four), *collapse_addresses(six))


def plainly(network_: Network) -> str:
    """Write a prefix; a single address without its length."""
    return str(network_.network_address if network_.prefixlen == network_.max_prefixlen else network_)


def without(whole: Network, parts: Iterable[Network]) -> tuple[Network, ...]:
    """Return a prefix less some others."""
    left: list[Any] = [whole]
    for part in parts:
        rest: list[Any] = []
        for each in left:
            if each.version != part.version or not each.overlaps(part):
                rest.append(each)
            elif not each.subnet_of(part):
                rest += each.address_exclude(part)
        left = rest
    return collapsed(left)


def excepted(many: Iterable[Network], parts: tuple[Network, ...]) -> tuple[Network, ...]:
    """Return prefixes less some others. Both are taken in order, so that many of them cost little."""
    if not parts:
        return tuple(many)
    starts = {version: [int(p.network_address) for p in parts if p.version == version] for version in (4, 6)}
    ordered = {version: [p for p in parts if p.version == version] for version in (4, 6)}
    found: list[Network] = []
    for each in many:
        near, all_ = starts[each.version], ordered[each.version]
        low = bisect_left(near, int(each.network_address))
        high = bisect_right(near, int(each.broadcast_address))
        found += without(each, all_[max(low - 1, 0) : high])
    return collapsed(found)


def _listed(value: Any) -> tuple[Network, ...]:
    many = value if isinstance(value, list | tuple) else [value]
    if len(many) > MOST_IN_A_LIST:
        raise ValueError(f"takes {MOST_IN_A_LIST} prefixes at most")
    found: list[Network] = []
    for number, each in enumerate(many):
        at = (number,) if isinstance(value, list | tuple) else ()
        if isinstance(each, IPv4Network | IPv6Network):
            found.append(each)
            continue
        try:
            read = networks(each) if isinstance(each, str) else None
        except ValueError as error:
            raise Misplaced(str(error), at) from None
        if read is None:
            raise Misplaced(f"{tidy(str(each), 60)!r} is no address; write it like 10.0.0.0/8 or 2001:db8::1", at)
        found += read
    return tuple(found)


def _addresses(value: Any) -> tuple[IPv4Address | IPv6Address, ...]:
    listed = _listed(value)
    if any(each.prefixlen != each.max_prefixlen for each in listed):
        raise ValueError("must be single addresses, not prefixes")
    return tuple(each.network_address for each in listed)


def _routers(value: Any) -> tuple[IPv6Address, ...]:
    found = []
    for each in _addresses(value):
        if not isinstance(each, IPv6Address) or not each.is_link_local:
            raise ValueError(f"{each} is not link-local; a router is named by its address in fe80::/10 (RFC 4861)")
        found.append(each)
    return tuple(found)


_TEXT = {"type": "string", "examples": ["10.0.0.0/8", "2001:db8::1", "10.0.0.1-10.0.0.9"]}
_SCHEMA = WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]})
Networks = Annotated[tuple[Network, ...], PlainValidator(_listed), _SCHEMA]
Addresses = Annotated[tuple[IPv4Address | IPv6Address, ...], PlainValidator(_addresses), _SCHEMA]
Routers = Annotated[tuple[IPv6Address, ...], PlainValidator(_routers), _SCHEMA]
