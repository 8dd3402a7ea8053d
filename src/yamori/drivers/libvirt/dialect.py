"""What differs between the hypervisors behind libvirt, as one small value a family. Not a place for code."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One family as libvirt shows it.

    ``transports``: how its daemon may be reached. ``bulk_stats``: one call reads the counters of all VMs.
    ``control_groups``: CPU is bounded by them. ``remote``: a daemon answers, so the link needs keep-alive.
    ``tells_tuning``: an event follows when limits or memory are changed. ``version_parts``: how much of the
    version number libvirt really knows.
    ``least_memory_bytes``: a VM is never held to less. ``moves``: VMs can migrate encrypted from host to host;
    ``needs_passage``: their memory is sent in plaintext, and our agents must carry it;
    ``no_landing`` says what is missing where moves are not set up. ``absent`` names features that this family
    never has, with the reason that the support matrix gives; what is not in there is probed.
    """

    family: str
    hypervisor: str
    transports: tuple[str, ...] = ("", "unix", "tls", "ssh")
    bulk_stats: bool = True
    control_groups: bool = True
    remote: bool = True
    tells_tuning: bool = True
    version_parts: int = 3
    least_memory_bytes: int = 64 << 20
    moves: bool = True
    needs_passage: bool = False
    no_landing: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)


QEMU = Dialect(
    family="qemu",
    hypervisor="QEMU",
    no_landing="not set up: moves are always encrypted, migrate_to says that QEMU's certificates for it are there",
)

_NO_COUNTERS = "libvirt's built-in test driver counts nothing"
_NO_EFFECT = "libvirt's built-in test driver accepts the setting and forgets it"
_NO_RATE = "libvirt's built-in test driver refuses a rate that has no burst above it"
_NO_MOVES = "libvirt's built-in test driver cannot migrate"

TEST = Dialect(
    family="test",
    hypervisor="libvirt test driver",
    transports=("",),
    remote=False,
    moves=False,
    absent={
        "usage": _NO_COUNTERS,
        "usage.cpu_delay": _NO_COUNTERS,
        "usage.memory_resident": _NO_COUNTERS,
        "usage.disk_latency": _NO_COUNTERS,
        "usage.net_drops": _NO_COUNTERS,
        "limits.cpu_cap": _NO_EFFECT,
        "limits.cpu_weight": _NO_EFFECT,
        "limits.disk_iops": _NO_RATE,
        "limits.disk_bandwidth": _NO_RATE,
        "migration.live": _NO_MOVES,
        "migration.encrypted": _NO_MOVES,
        "migration.copied_storage": _NO_MOVES,
        "migration.cancel": _NO_MOVES,
        "migration.bandwidth": _NO_MOVES,
    },
)

_NOT_COUNTED = "libvirt's Xen driver counts nothing in bulk: Yamori's host agent does"
_NOT_LIMITED = "libvirt's Xen driver has no such limit: Yamori's host agent sets it in Dom0"
_NOT_COPIED = "libvirt's Xen driver copies no disks: both hosts must reach the same ones"
_NOT_STOPPED = "libvirt's Xen driver cannot stop a move that has begun: Yamori's host agent breaks its passage off"
_NOT_BOUNDED = "libvirt's Xen driver cannot bound a move: Yamori's host agent bounds its passage"

XEN = Dialect(
    family="xen",
    hypervisor="Xen",
    bulk_stats=False,
    control_groups=False,
    tells_tuning=False,
    version_parts=2,
    least_memory_bytes=32 << 20,
    needs_passage=True,
    no_landing="not set up: Xen sends memory in plaintext; migrate_to.passage says that the agents carry it",
    absent={
        "usage": _NOT_COUNTED,
        "usage.cpu_delay": _NOT_COUNTED,
        "usage.memory_resident": _NOT_COUNTED,
        "usage.disk_latency": _NOT_COUNTED,
        "usage.net_drops": _NOT_COUNTED,
        "limits.disk_iops": _NOT_LIMITED,
        "limits.disk_bandwidth": _NOT_LIMITED,
        "limits.net_in": _NOT_LIMITED,
        "limits.net_out": _NOT_LIMITED,
        "migration.copied_storage": _NOT_COPIED,
        "migration.cancel": _NOT_STOPPED,
        "migration.bandwidth": _NOT_BOUNDED,
    },
)

DIALECTS: Mapping[str, Dialect] = {dialect.family: dialect for dialect in (QEMU, TEST, XEN)}
