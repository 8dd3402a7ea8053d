"""What holds beside the rules where a VM is in several groups: the strictest bound, and all servers named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from yamori.model.filter import Addressing, Failure, Rates, Replies, Service
from yamori.model.filter_rule import Network
from yamori.modules.firewall.groups import Group, Mode, Unmatched
from yamori.modules.firewall.networks import collapsed
from yamori.modules.firewall.rates import joint

T = TypeVar("T")
_STRICTEST = (Replies.NONE, Replies.PROVEN, Replies.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The fields of the same names of a Filter, and the mode."""

    mode: Mode
    unmatched: Unmatched
    replies: Replies
    failure: Failure
    addressing: Addressing
    reserved: tuple[Network, ...]
    dhcp_servers: tuple[IPv4Address | IPv6Address, ...]
    routers: tuple[IPv6Address, ...]
    serves: frozenset[Service]
    rates: Rates
    errors: bool
    fragments: bool


def bounds(sure: list[Group], unsure: list[Group], *, closed: Mode) -> Bounds:
    """Join the settings of a VM's groups. ``closed`` is the mode of a VM that is in no group at all.

    Groups that may or may not be the VM's own bound it, and allow it nothing.
    """
    every = [*sure, *unsure]
    modes = {group.mode for group in every} if sure else {closed, *(group.mode for group in unsure)}
    given = {group.replies for group in every}
    return Bounds(
        mode=Mode.ENFORCE if Mode.ENFORCE in modes else Mode.OBSERVE,
        unmatched=Unmatched(
            into=bool(sure) and all(group.default.into for group in every),
            out=bool(sure) and all(group.default.out for group in every),
        ),
        replies=next((one for one in _STRICTEST if one in given), Replies.PASS),
        failure=_only((g.failure for g in every), Failure.OPEN, Failure.CLOSED),
        addressing=_only((g.addressing for g in every), Addressing.ANY, Addressing.PINNED),
        reserved=collapsed(each for group in every for each in group.reserved),
        dhcp_servers=tuple(dict.fromkeys(each for group in sure for each in group.dhcp_servers)),
        routers=tuple(dict.fromkeys(each for group in sure for each in group.routers)),
        serves=frozenset(each for group in sure for each in group.serves),
        rates=joint([group.rates for group in every]),
        errors=all(group.errors is not False for group in every),
        fragments=any(group.fragments is True for group in sure),
    )


def _only(given: Iterable[T | None], loose: T, strict: T) -> T:
    """Return the loose one where somebody said so and nobody the strict one."""
    said = set(given)
    return loose if loose in said and strict not in said else strict
