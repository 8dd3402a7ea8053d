"""The lab's wires: a switch namespace with a management and a guest bridge, and one namespace a host.

machine ─ yl<n>root ═ up-root ┐
host-a  ─ eth0      ═ m-host-a ┼ brm   management, migration   10.77.<n>.0/24
guests  ─ vmbr0 ─ eth1 ═ g-host-a ┴ brg   guests                  10.88.<n>.0/24
"""

from __future__ import annotations

from pathlib import Path

from yamori.lab.command import run
from yamori.lab.layout import Layout
from yamori.lab.registry import Kind, Registry
from yamori.model.errors import Failed

NETNS_ROOT = Path("/run/netns")


def _batch(namespace: str | None, lines: list[str]) -> None:
    """Give several ``ip`` commands in one process; the first that fails ends the batch."""
    where = ["-n", namespace] if namespace else []
    run(["ip", *where, "-batch", "-"], stdin="\n".join(lines) + "\n")


def make_switch(layout: Layout, registry: Registry) -> None:
    """Make the switch namespace, both bridges and the veth pair into the machine's own namespace."""
    space = layout.switch_namespace
    registry.append(Kind.NETNS, space)
    run(["ip", "netns", "add", space])
    _batch(
        space,
        [
            "link set lo up",
            "link add brm type bridge forward_delay 0",
            "link add brg type bridge forward_delay 0",
            "link set brm up",
            "link set brg up",
            f"addr add {layout.probe_address}/24 dev brg",
        ],
    )
    registry.append(Kind.LINK, layout.root_link)
    _batch(
        None,
        [
            f"link add {layout.root_link} type veth peer name up-root netns {space}",
            f"addr add {layout.root_address}/24 dev {layout.root_link}",
            f"link set {layout.root_link} up",
        ],
    )
    _batch(space, ["link set up-root master brm", "link set up-root up"])


def add_vcenter(layout: Layout) -> None:
    """Give the switch namespace the address at which a vCenter listens."""
    run(["ip", "-n", layout.switch_namespace, "addr", "add", f"{layout.vcenter_address}/24", "dev", "brm"])


def connect_host(layout: Layout, registry: Registry, host: str, address: str) -> None:
    """Make a host's namespace: eth0 in the management network, vmbr0 bridged into the guests' network."""
    space = _plug_in(layout, registry, host)
    _batch(
        space,
        [
            "link set lo up",
            f"addr add {address}/24 dev eth0",
            "link set eth0 up",
            "link add vmbr0 type bridge forward_delay 0",
            "link set eth1 master vmbr0",
            "link set eth1 up",
            "link set vmbr0 up",
        ],
    )


def connect_machine(layout: Layout, registry: Registry, host: str, *, user: str) -> None:
    """Make the namespace of a host that is a virtual machine: each wire ends at a tap, which the user may open.

    tap0 is the machine's card in the management network, tap1 its card in the guests' network.
    """
    space = _plug_in(layout, registry, host)
    lines = ["link set lo up"]
    for number, bridge in enumerate(("brm", "brg")):
        lines += [
            f"tuntap add dev tap{number} mode tap user {user}",
            f"link add {bridge} type bridge forward_delay 0",
            f"link set eth{number} master {bridge}",
            f"link set tap{number} master {bridge}",
            f"link set eth{number} up",
            f"link set tap{number} up",
            f"link set {bridge} up",
        ]
    _batch(space, lines)


def _plug_in(layout: Layout, registry: Registry, host: str) -> str:
    """Make a host's namespace with its two wires to the switch; returns the namespace's name."""
    space, switch = layout.host_namespace(host), layout.switch_namespace
    registry.append(Kind.NETNS, space)
    run(["ip", "netns", "add", space])
    _batch(
        switch,
        [
            f"link add m-{host} type veth peer name eth0 netns {space}",
            f"link set m-{host} master brm",
            f"link set m-{host} up",
            f"link add g-{host} type veth peer name eth1 netns {space}",
            f"link set g-{host} master brg",
            f"link set g-{host} up",
        ],
    )
    return space


def set_management_link(layout: Layout, host: str, *, up: bool) -> None:
    """Cut or heal a host's management and migration wire at the switch; its guests' wire stays."""
    run(["ip", "-n", layout.switch_namespace, "link", "set", f"m-{host}", "up" if up else "down"])


def remove_link(name: str) -> bool:
    """Delete an interface of the machine's own namespace; False when there is none."""
    if not Path(f"/sys/class/net/{name}").exists():
        return False
    run(["ip", "link", "del", name])
    return True


def remove_namespace(name: str) -> bool:
    """Delete a named network namespace; False when there is none."""
    if not (NETNS_ROOT / name).exists():
        return False
    run(["ip", "netns", "del", name])
    if (NETNS_ROOT / name).exists():
        raise Failed(f"network namespace {name} is still there")
    _leave_no_mount()
    return True


def _leave_no_mount() -> None:
    """Undo the mount that ``ip netns add`` makes over its folder, once no namespace of anybody is left in it."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if str(NETNS_ROOT) in points and not any(NETNS_ROOT.iterdir()):
        try:
            run(["umount", str(NETNS_ROOT)])
        except Failed:
            # somebody has just made a namespace: then the mount is theirs
            return
