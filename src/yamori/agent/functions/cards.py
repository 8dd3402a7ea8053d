"""Which interfaces of this host are a VM's cards: looked up each time, and checked to be what they are called."""

from collections.abc import Callable, Mapping

from yamori.agent.functions.netlink import Link
from yamori.model.errors import Conflict, Unsupported
from yamori.model.vm import VM, Nic

Cards = Callable[[VM, Mapping[int, Link]], list[Link]]
"""Return the interfaces of all cards of a running VM. Raises Unsupported, Conflict."""
_FEATURE = "limits.net"


def taps_of(vm: VM, present: Mapping[int, Link]) -> list[Link]:
    """Find the taps of a QEMU VM by the names that its hypervisor tells.

    The name alone is not enough: a tap that another VM took over meanwhile must not be shaped. libvirt gives a
    tap the card's own address with another first byte (virNetDevTapCreateInBridgePort).
    """
    if not vm.nics:
        raise Unsupported(_FEATURE, "the VM has no card", subject=vm.id)
    named = {link.name: link for link in present.values()}
    return [_tap(vm, nic, named) for nic in vm.nics]


def _tap(vm: VM, nic: Nic, named: Mapping[str, Link]) -> Link:
    if nic.target is None:
        raise Unsupported(_FEATURE, f"card {nic.mac} has no interface on this host", subject=vm.id)
    link = named.get(nic.target)
    if link is None:
        raise Conflict(f"interface {nic.target} of card {nic.mac} is not here", subject=vm.id)
    if link.kind != "tun":
        raise Unsupported(
            _FEATURE, f"interface {link.name} is no tap but {link.kind or 'hardware'}", subject=vm.id
        )
    if link.address[1:] != _address(nic.mac)[1:]:
        raise Conflict(f"interface {link.name} belongs to another card than {nic.mac}", subject=vm.id)
    return link


def _address(mac: str) -> bytes:
    try:
        return bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        return b""


def on_bridges(found: list[Link], present: Mapping[int, Link], bridges: tuple[str, ...]) -> list[Link]:
    """Return the interfaces, all of which must be ports of one of the bridges. Raises Unsupported."""
    for link in found:
        over = present.get(link.master)
        if bridges and (over is None or over.name not in bridges):
            raise Unsupported(_FEATURE, f"interface {link.name} is on none of the bridges {', '.join(bridges)}")
    return found
