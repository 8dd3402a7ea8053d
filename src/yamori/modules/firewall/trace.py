"""Which rule decides about a connection, in the operator's words: at the VM's card, and at the other side's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from yamori.model import identity, verdict
from yamori.model.errors import Invalid, NotFound
from yamori.model.filter_rule import Direction
from yamori.model.packet import Address
from yamori.modules.firewall.compile import Compiled, Guarded, Origin
from yamori.modules.firewall.flow import Flow, judged
from yamori.modules.firewall.groups import Mode
from yamori.policy.nodes import tidy

NO_FILTER = "none"
"""Stands for the rule where no Filter is."""
WORDS: Mapping[str, str] = {
    identity.MAC: "the frame is not from or to the card's own MAC",
    identity.KIND: "frames of this kind do not pass",
    identity.ADDRESS: "the address is not one of the card's own",
    identity.DHCP_GOOD: "DHCP with a server that may answer",
    identity.DHCP_BAD: "DHCP is only with servers that a group names",
    identity.DHCP_SERVER: "nobody plays DHCP server unless a group says so",
    identity.ND_GOOD: "neighbour discovery under the card's own name",
    identity.ND_BAD: "neighbour discovery under another's name",
    identity.RA: "nobody plays router unless a group says so",
    identity.MLD: "multicast membership",
    verdict.BY_DEFAULT: "no rule allows it",
    verdict.ERROR: "an ICMP error about the VM's own packets",
    verdict.FRAGMENT: "later fragments do not pass",
}
"""What decides before and beside an operator's rules, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What becomes of a connection, the id of what decides, and the same in words with its place."""

    allowed: bool
    rule: str
    words: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One card on the way. ``mode`` observe: what is told as dropped is let through, and counted."""

    port: str
    vm_name: str
    direction: Direction
    groups: tuple[str, ...]
    mode: Mode
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """All cards of ours that a connection passes. ``passes``: what happens; ``allowed``: if all enforced."""

    hops: tuple[Hop, ...]

    @property
    def allowed(self) -> bool:
        """Say whether every card's Filter allows it."""
        return all(hop.told.allowed for hop in self.hops)

    @property
    def passes(self) -> bool:
        """Say whether it gets through: a card that only observes stops nothing."""
        return all(hop.told.allowed or hop.mode is Mode.OBSERVE for hop in self.hops)


def explain(compiled: Compiled, guarded: Guarded, ruled: verdict.Verdict) -> Told:
    """Say a verdict in the operator's words."""
    name = ruled.rule.removeprefix(verdict.REPLY)
    origin = compiled.origins.get(name)
    if origin is None:
        words = WORDS.get(name, name)
        if name == verdict.BY_DEFAULT:
            inside = f"groups: {', '.join(guarded.groups)}" if guarded.groups else "the VM is in no group"
            words = f"{words} ({inside})"
    elif origin.rule is None:
        words = origin.words
    else:
        place = "" if origin.place is None else f":{origin.place.line}:{origin.place.column}"
        words = f"rule {origin.rule} ({origin.source}{place}): {origin.words}"
    return Told(allowed=ruled.allowed, rule=ruled.rule, words=tidy(words, 600), origin=origin)


def trace(
    compiled: Compiled,
    vm: str,
    direction: Direction,
    peer: Address,
    protocol: int,
    port: int | None = None,
    *,
    type: int | None = None,
    client_port: int | None = None,
) -> Traced:
    """Ask about a connection that a VM opens (OUT) or that is opened to it (IN). ``vm`` is its name or id.

    Where the other side is a card of ours it is asked too. Raises NotFound and Invalid.
    """
    cards = [g for g in compiled.cards.values() if vm in (g.vm_name, g.card.vm)]
    if not cards:
        raise NotFound(f"no VM is called {tidy(vm, 60)!r}", mend="give a name or id of the fleet")
    if len({g.card.vm for g in cards}) > 1:
        raise Invalid(f"several VMs are called {tidy(vm, 60)!r}", mend="give the id")
    mine, own = _speaking(cards, peer)
    asked = Flow(
        card=mine.card.port,
        direction=direction,
        protocol=protocol,
        own=own,
        peer=peer,
        port=port,
        client_port=client_port,
        type=type,
    )
    hops = [_hop(compiled, mine, asked)]
    there = _bearer(compiled, peer)
    if there is not None and there is not mine:
        other = Direction.IN if direction is Direction.OUT else Direction.OUT
        hops.append(
            _hop(compiled, there, replace(asked, card=there.card.port, direction=other, own=peer, peer=own))
        )
    return Traced(hops=tuple(hops if direction is Direction.OUT else hops[::-1]))


def _hop(compiled: Compiled, guarded: Guarded, flow: Flow) -> Hop:
    return Hop(
        port=guarded.card.port,
        vm_name=guarded.vm_name,
        direction=flow.direction,
        groups=guarded.groups,
        mode=guarded.mode,
        told=explain(compiled, guarded, judged(guarded.filter, flow)),
    )


def _speaking(cards: list[Guarded], peer: Address) -> tuple[Guarded, Address]:
    """Return the card that would speak to this peer, and its address: one that shares a network comes first."""
    choices = [
        (guarded, each.network_address)
        for guarded in cards
        for each in guarded.filter.own
        if each.version == peer.version and each.network_address.is_link_local == peer.is_link_local
    ]
    if not choices:
        raise Invalid(f"the VM has no known address of IPv{peer.version} to speak with {peer}")
    return min(choices, key=lambda choice: int(choice[1]) ^ int(peer))


def _bearer(compiled: Compiled, address: Address) -> Guarded | None:
    for guarded in compiled.cards.values():
        if any(each.version == address.version and address in each for each in guarded.card.addresses):
            return guarded
    return None
