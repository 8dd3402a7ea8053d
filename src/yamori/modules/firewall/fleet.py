"""The fleet as the firewall needs it: VMs with labels, their hosts, and each card with its addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yamori.model.errors import Invalid
from yamori.model.filter_rule import Network
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One network card. ``port`` is its id in Filters; ``addresses`` are those that the inventory knows of."""

    port: str
    vm: VMId
    mac: str
    addresses: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All that a compilation rests on. Raises Invalid when cards contradict one another."""

    vms: Mapping[VMId, VM]
    cards: tuple[Card, ...]
    hosts: Mapping[HostId, Host] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports: set[str] = set()
        for card in self.cards:
            if card.vm not in self.vms:
                raise Invalid(f"card {card.port} belongs to a VM that is not in the fleet", subject=card.vm)
            if card.port in ports:
                raise Invalid("two cards have this port", subject=card.port)
            ports.add(card.port)


def cards_of(vm: VM, addresses: Mapping[str, tuple[Network, ...]]) -> tuple[Card, ...]:
    """Return a VM's cards in the order of its nics. ``addresses`` are by MAC; a MAC that is absent has none."""
    return tuple(
        Card(port=f"{vm.id}/{number}", vm=vm.id, mac=nic.mac.lower(), addresses=addresses.get(nic.mac.lower(), ()))
        for number, nic in enumerate(vm.nics)
    )


def fleet_of(vms: Iterable[VM], addresses: Mapping[str, tuple[Network, ...]], hosts: Iterable[Host] = ()) -> Fleet:
    """Put a fleet together from the inventory and the addresses by MAC (lower case)."""
    known = {vm.id: vm for vm in vms}
    cards = tuple(card for vm in known.values() for card in cards_of(vm, addresses))
    return Fleet(vms=known, cards=cards, hosts={host.id: host for host in hosts})
