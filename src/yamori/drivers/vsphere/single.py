"""What single hosts of an endpoint lack: ESXi hosts differ in version, cluster, switches and settings.

Decisions on what was read, no calls. A flag of the host that it does not tell takes nothing away, but for
encryption of moves: hosts before ESXi 6.5 have none and tell nothing (vSphere API: HostCapability).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from yamori.drivers.vsphere.collector import Found
from yamori.drivers.vsphere.surroundings import DRS_MOVES
from yamori.drivers.vsphere.words import clean
from yamori.model.ids import HostId
from yamori.model.support import FEATURES, Cell, HostSupport, Level

_CONNECTION = "runtime.connectionState"
_PRODUCT = "summary.config.product.fullName"
_MHZ, _THREADS = "summary.hardware.cpuMhz", "summary.hardware.numCpuThreads"
_SWITCHED_ON = "summary.config.vmotionEnabled"
_ALLOCATIONS = "capability.cpuMemoryResourceConfigurationSupported"
_DISKS = "capability.storageIORMSupported"
_MOVES = "capability.vmotionSupported"
_ENCRYPTED = "capability.encryptedVMotionSupported"
_COPIES = "capability.vmotionWithStorageVMotionSupported"
PATHS = (
    "name",
    "parent",
    _CONNECTION,
    _PRODUCT,
    _MHZ,
    _THREADS,
    _SWITCHED_ON,
    _ALLOCATIONS,
    _DISKS,
    _MOVES,
    _ENCRYPTED,
    _COPIES,
)
"""What must be read of each host."""
_WITHOUT_CONTACT = ("inventory", "changes")
"""What the server itself tells, whether or not it reaches the host."""
_MIGRATION = tuple(feature for feature in FEATURES if feature.startswith("migration."))

_NO_CLOCK = "the host's clock rate is not told, so cores cannot be put in MHz"
_NO_CPUS = "the host does not tell how many CPUs it has"
_NO_SWITCH = "the host is on no distributed switch with Network I/O Control version 3"
_NOT_TOLD = "which hosts are on the distributed switches is not told"
_OFF = "vMotion is switched off on this host"

Lacks = Mapping[str, Cell]
"""Features that a host has not, or of which it is not known whether it has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What hosts depend on. ``automated``: keys of clusters whose DRS moves VMs as it likes.

    ``switched``: keys of hosts on a switch that enforces limits of cards; None when that is not told.
    """

    automated: Collection[str] = ()
    switched: Collection[str] | None = ()


def lacks(host: Found, around: Around) -> Lacks:
    """What one host has not. A host out of contact is unknown in everything that needs it."""
    if not in_contact(host):
        words = f"the server has no contact with this host ({clean(host.values.get(_CONNECTION), 40)})"
        unknown = Cell(level=Level.UNKNOWN, reason=words)
        return {feature: unknown for feature in FEATURES if feature not in _WITHOUT_CONTACT}
    found = {**_limits(host, around), **_moves(host)}
    return {feature: found[feature] for feature in FEATURES if feature in found}


def in_contact(host: Found) -> bool:
    """Whether the server reaches the host; where it does not say, it is taken to."""
    return host.text(_CONNECTION) in (None, "connected")


def everywhere(hosts: Sequence[Lacks]) -> Lacks:
    """What none of the hosts has, each in the words of the first."""
    if not hosts:
        return {}
    return {feature: cell for feature, cell in hosts[0].items() if all(feature in each for each in hosts)}


def differing(cells: Mapping[str, Cell], hosts: Mapping[HostId, tuple[Found, Lacks]]) -> dict[HostId, HostSupport]:
    """Every host with the cells that differ from the endpoint's: what the endpoint has and the host has not."""
    return {
        host: HostSupport(
            hypervisor=found.text(_PRODUCT, 80) or "VMware ESXi, version unknown",
            cells={f: cell for f, cell in lacking.items() if cells[f].level is Level.NATIVE},
        )
        for host, (found, lacking) in hosts.items()
    }


def _limits(host: Found, around: Around) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    if not host.number(_MHZ):
        found["limits.cpu_cap"] = _none(_NO_CLOCK)
    if host.number(_THREADS) is None:
        found["limits.cpu_pinning"] = _none(_NO_CPUS)
    if _parent_key(host) in around.automated:
        found["limits.cpu_pinning"] = _none(DRS_MOVES)
    if around.switched is None:
        found["limits.net_out"] = Cell(level=Level.UNKNOWN, reason=_NOT_TOLD)
    elif host.key not in around.switched:
        found["limits.net_out"] = _none(_NO_SWITCH)
    if host.values.get(_ALLOCATIONS) is False:
        for part in ("cpu_cap", "cpu_weight", "memory"):
            found[f"limits.{part}"] = _refused("bounds of CPU and memory", _ALLOCATIONS)
    if host.values.get(_DISKS) is False:
        found["limits.disk_iops"] = _refused("storage I/O resource management", _DISKS)
    return found


def _moves(host: Found) -> dict[str, Cell]:
    """A host that cannot take part in moves, or not in encrypted ones, has nothing of migration."""
    encrypted = host.values.get(_ENCRYPTED)
    if host.values.get(_MOVES) is False:
        return dict.fromkeys(_MIGRATION, _refused("vMotion", _MOVES))
    if host.values.get(_SWITCHED_ON) is False:
        return dict.fromkeys(_MIGRATION, _none(_OFF))
    if encrypted is not True:
        why = "the host does not say that it can encrypt moves, and nothing is moved in plaintext"
        cell = _none(why) if encrypted is False else Cell(level=Level.UNKNOWN, reason=why)
        return dict.fromkeys(_MIGRATION, _none(why)) | {"migration.encrypted": cell}
    if host.values.get(_COPIES) is False:
        return {"migration.copied_storage": _refused("moves with storage", _COPIES)}
    return {}


def _parent_key(host: Found) -> str | None:
    key = getattr(host.values.get("parent"), "_moId", None)
    return None if key is None else str(key)


def _none(reason: str) -> Cell:
    return Cell(level=Level.NONE, reason=reason)


def _refused(what: str, flag: str) -> Cell:
    return _none(f"the host says that it does not support {what} ({flag})")
