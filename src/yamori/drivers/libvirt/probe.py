"""What an endpoint can do: looked at, never assumed, and without changing anything."""

from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from yamori.drivers.libvirt.absence import Absences
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.failure import text_of
from yamori.drivers.libvirt.inventory import read_definition
from yamori.drivers.libvirt.limits import Subject, scheduler_of, weight_of_one, why_not_pinned
from yamori.drivers.libvirt.markup import parse
from yamori.drivers.libvirt.translate import version
from yamori.drivers.libvirt.usage import FLAGS, GROUPS
from yamori.model.errors import Invalid, YamoriError
from yamori.model.support import FEATURES, Cell, Level, Support

_NATIVE = Cell(level=Level.NATIVE)
_MOVES = ("migration.live", "migration.encrypted", "migration.copied_storage")
_NOBODY = "no running VM to look at"
_MOST_LOOKED_AT = 8
_COUNTERS = {
    "usage.cpu_delay": ("vcpu.", ".delay", "neither libvirt nor the kernel tell how long vCPUs waited"),
    "usage.memory_resident": ("balloon.rss", "", "libvirt does not tell the resident memory"),
    "usage.disk_latency": ("block.", ".rd.times", "libvirt does not tell how long requests took"),
    "usage.net_drops": ("net.", ".rx.drop", "no card tells dropped packets"),
}
_NET_UNKNOWN = (
    "libvirt cannot be asked whether the host's kernel has sch_sfq, cls_fw and act_police; the first attempt shows"
)


class Probe:
    """Fills the matrix's column of one endpoint."""

    def __init__(self, connection: Connection, absences: Absences) -> None:
        self._connection = connection
        self._absences = absences
        self._seen: set[str] = set()

    async def run(self) -> Support:
        """Look. Raises Unreachable, TimedOut."""
        return await self._connection.call(self._look, capability="probe")

    def _look(self, link: Any) -> Support:
        rows = link.getAllDomainStats(GROUPS, FLAGS)
        subjects = _subjects(rows)
        found: dict[str, Cell] = {
            "inventory": _NATIVE,
            "changes": _NATIVE,
            "usage": _NATIVE,
            "power": _NATIVE,
            **{feature: _counted(feature, [stats for _, stats in rows]) for feature in _COUNTERS},
            **self._limits(subjects),
            **dict.fromkeys(_MOVES, _live_migration(link)),
        }
        for feature in _COUNTERS:  # a VM that is busy now tells less than it did before
            if found[feature] == _NATIVE:
                self._seen.add(feature)
            elif feature in self._seen:
                found[feature] = _NATIVE
        cells = {}
        for feature in FEATURES:
            why = self._absences.why(feature)
            cells[feature] = found[feature] if why is None else Cell(level=Level.NONE, reason=why)
        dialect = self._connection.settings.dialect
        return Support(
            driver="libvirt",
            hypervisor=f"{dialect.hypervisor} {version(link.getVersion())}",
            cells=cells,
        )

    def _limits(self, subjects: list[Subject]) -> Mapping[str, Cell]:
        configured = self._connection.settings.cpu_weight_of_one
        shaping = _seen_shaping(subjects)
        return {
            "limits.cpu_cap": _tried(subjects, _has_quota),
            "limits.cpu_weight": _tried(subjects, lambda s: _has_weight(s, configured)),
            "limits.cpu_pinning": _tried(subjects, lambda s: why_not_pinned(s.handle)),
            "limits.memory": _tried(
                subjects, lambda s: None if s.definition.balloon else "none of the VMs looked at has a balloon"
            ),
            "limits.disk_iops": _tried(subjects, lambda s: _has_disk_limit(s, "total_iops_sec")),
            "limits.disk_bandwidth": _tried(subjects, lambda s: _has_disk_limit(s, "total_bytes_sec")),
            "limits.net_in": shaping if self._connection.settings.dialect.remote else _NATIVE,
            "limits.net_out": shaping if self._connection.settings.dialect.remote else _NATIVE,
        }


def _subjects(rows: list[tuple[Any, Any]]) -> list[Subject]:
    subjects: list[Subject] = []
    for handle, stats in rows:
        if stats.get("state.state") == libvirt.VIR_DOMAIN_RUNNING and len(subjects) < _MOST_LOOKED_AT:
            try:
                subjects.append(Subject(handle=handle, definition=read_definition(handle, ())))
            except (Invalid, libvirt.libvirtError):
                continue  # it vanished, or its definition is odd: look at others
    return subjects


def _counted(feature: str, rows: list[Mapping[str, Any]]) -> Cell:
    start, end, why = _COUNTERS[feature]
    if any(key.startswith(start) and key.endswith(end) for stats in rows for key in stats):
        return _NATIVE
    return Cell(level=Level.NONE if rows else Level.UNKNOWN, reason=why if rows else _NOBODY)


def _tried(subjects: list[Subject], look: Callable[[Subject], str | None]) -> Cell:
    """NATIVE if one of the VMs shows it; else NONE with the last reason; UNKNOWN without any VM."""
    reason = _NOBODY
    for subject in subjects:
        try:
            why_not = look(subject)
        except libvirt.libvirtError as error:
            why_not = text_of(error)
        except YamoriError as error:
            why_not = error.message
        if why_not is None:
            return _NATIVE
        reason = why_not
    return Cell(level=Level.NONE if subjects else Level.UNKNOWN, reason=reason)


def _has_quota(subject: Subject) -> str | None:
    return None if "vcpu_quota" in scheduler_of(subject) else "the hypervisor knows no quota"


def _has_weight(subject: Subject, configured: int | None) -> str | None:
    scheduler = scheduler_of(subject)
    if "cpu_shares" not in scheduler:
        return "the hypervisor knows no shares"
    weight_of_one(subject, scheduler, configured)
    return None


def _has_disk_limit(subject: Subject, parameter: str) -> str | None:
    targets = [d.disk.target for d in subject.definition.disks if d.medium]
    if not targets:
        return "none of the VMs looked at has a disk"
    told = subject.handle.blockIoTune(targets[0], libvirt.VIR_DOMAIN_AFFECT_LIVE)
    return None if parameter in told else "the hypervisor does not tell such a limit"


def _seen_shaping(subjects: list[Subject]) -> Cell:
    """A running card with libvirt's own bandwidth limit proves that the kernel has what it takes."""
    if any(subject.definition.shaped for subject in subjects):
        return _NATIVE
    return Cell(level=Level.UNKNOWN, reason=_NET_UNKNOWN)


def _live_migration(link: Any) -> Cell:
    try:
        capabilities = parse(link.getCapabilities())
    except (Invalid, libvirt.libvirtError) as error:
        return Cell(level=Level.UNKNOWN, reason=f"capabilities cannot be read: {error}"[:300])
    if capabilities.find("host/migration_features/live") is not None:
        return _NATIVE
    return Cell(level=Level.NONE, reason="the host's capabilities name no live migration")
