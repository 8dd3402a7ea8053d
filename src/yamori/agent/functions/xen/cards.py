"""The interfaces of a Xen VM's cards: those that this kernel's netback made for its domain, by sysfs."""

from collections.abc import Mapping

from yamori.agent.functions.netlink import Link
from yamori.agent.functions.xen.roster import Roster
from yamori.model.errors import Conflict, Unsupported
from yamori.model.vm import VM

_FEATURE = "limits.net"


def vifs_of(roster: Roster, vm: VM, present: Mapping[int, Link]) -> list[Link]:
    """Find them afresh by the domain that runs the VM now. Raises NotFound, Unsupported, Conflict.

    An emulated card beside the paravirtual one is the same card by another road: both are bounded.
    """
    census = roster.read()
    number = census.find(vm.id).domain.number
    devices = roster.devices(number, census.served, fresh=True)
    if devices.cards_elsewhere:
        raise Unsupported(_FEATURE, "a card of the VM is not served by this kernel", subject=vm.id)
    if not devices.cards:
        raise Unsupported(_FEATURE, "the VM has no card", subject=vm.id)
    named = {link.name: link for link in present.values()}
    found = []
    for card in devices.cards:
        names = roster.backends.card_names(card)
        if not names or names[0] not in named:
            raise Conflict(f"the interface of {card.name} is not here", subject=vm.id)
        found += [named[name] for name in names if name in named]
    return found
