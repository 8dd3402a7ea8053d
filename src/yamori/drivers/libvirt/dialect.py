"""What differs between the hypervisors behind libvirt, as one small value a family. Not a place for code."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One family as libvirt shows it.

    ``bulk_stats``: one call reads the counters of all VMs. ``remote``: a daemon answers, so the link needs
    keep-alive. ``moves``: VMs can migrate encrypted from host to host. ``absent`` names features that this
    family never has, with the reason that the support matrix gives; what is not in there is probed.
    """

    family: str
    hypervisor: str
    bulk_stats: bool = True
    remote: bool = True
    moves: bool = True
    absent: Mapping[str, str] = field(default_factory=dict)


QEMU = Dialect(family="qemu", hypervisor="QEMU")

_NO_COUNTERS = "libvirt's built-in test driver counts nothing"
_NO_EFFECT = "libvirt's built-in test driver accepts the setting and forgets it"
_NO_RATE = "libvirt's built-in test driver refuses a rate that has no burst above it"
_NO_MOVES = "libvirt's built-in test driver cannot migrate"

TEST = Dialect(
    family="test",
    hypervisor="libvirt test driver",
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
    },
)

DIALECTS: Mapping[str, Dialect] = {dialect.family: dialect for dialect in (QEMU, TEST)}
