"""The rights that each function needs, as data: for the installer, the unit file and the documentation."""

from collections.abc import Mapping
from dataclasses import dataclass

from yamori.agent.functions.settings import Function, HostSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one function needs beside its own state directory.

    ``capabilities``: Linux capabilities. ``devices``: files that must be open for reading and writing, as by the
    agent's group. ``writable``: paths to hand over, ``{cgroup}`` being the configured control group; a path that
    ends with ``/`` is a folder with what is in it. ``programs`` are started, with the agent's own rights.
    """

    capabilities: frozenset[str] = frozenset()
    devices: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    why: str


_HYPERCALLS = ("/dev/xen/privcmd", "/dev/xen/hypercall")
"""The second is where libxencall takes the buffers for the first (tools/libs/call/linux.c)."""
_XENSTORE = "/run/xenstored/socket"

NEEDS: Mapping[Function, Need] = {
    Function.NET: Need(
        capabilities=frozenset({"CAP_NET_ADMIN"}),
        why="traffic control on the interfaces of VMs, and an ifb interface where the kernel has no police",
    ),
    Function.CPU: Need(
        devices=(*_HYPERCALLS, _XENSTORE),
        why="cap and weight are hypercalls; privcmd gives power over all VMs of the host",
    ),
    Function.DISK: Need(
        devices=(_XENSTORE,),
        writable=("/sys/fs/cgroup/cgroup.procs", "{cgroup}/"),
        why="the threads that serve a VM's disks are moved into groups with io.max; they live in the root group",
    ),
    Function.USAGE: Need(devices=(*_HYPERCALLS, _XENSTORE), why="CPU time and memory are told by hypercalls"),
    Function.WAITING: Need(
        devices=(*_HYPERCALLS, "/dev/xen/evtchn"),
        programs=("xentrace",),
        why="the scheduler's changes of state are read from the hypervisor's trace buffers",
    ),
    Function.PASSAGE: Need(why="it listens above port 1023 and on loopback addresses: any user may"),
}


def needs(settings: HostSettings) -> frozenset[str]:
    """Return the Linux capabilities that the functions which are switched on need."""
    found: frozenset[str] = frozenset()
    for function in settings.functions:
        found |= NEEDS[function].capabilities
    return found
