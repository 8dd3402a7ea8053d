"""What an endpoint can do: looked at, never assumed, and without changing anything."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import libvirt

from yamori.drivers.libvirt.absence import MOVES, Absences
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.dialect import Dialect
from yamori.drivers.libvirt.failure import text_of
from yamori.drivers.libvirt.families import Family
from yamori.drivers.libvirt.listing import read_definition
from yamori.drivers.libvirt.markup import parse
from yamori.drivers.libvirt.subject import Subject
from yamori.drivers.libvirt.translate import version
from yamori.drivers.libvirt.usage import FLAGS, GROUPS
from yamori.model.errors import Invalid, YamoriError
from yamori.model.support import FEATURES, Cell, Level, Support
from yamori.model.vm import PowerState

_NATIVE = Cell(level=Level.NATIVE)
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
_BY_AGENTS = "Xen sends memory in plaintext: the agents of both hosts must carry it"
_NO_TUNING = "of limits and memory only our own changes are told: what others set is seen at the next full reading"


class Probe:
    """Fills the matrix's column of one endpoint."""

    def __init__(self, connection: Connection, family: Family, absences: Absences) -> None:
        self._connection = connection
        self._family = family
        self._absences = absences
        self._seen: set[str] = set()

    async def run(self) -> Support:
        """Look. Raises Unreachable, TimedOut."""
        return await self._connection.call(self._look, capability="probe")

    def _look(self, link: Any) -> Support:
        dialect = self._connection.settings.dialect
        rows = link.getAllDomainStats(GROUPS, FLAGS) if dialect.bulk_stats else []
        subjects = _subjects(_handles(rows) if dialect.bulk_stats else self._running(link))
        tell: dict[str, Callable[[], Cell]] = {
            **{f: partial(_counted, f, [stats for _, stats in rows]) for f in _COUNTERS},
            **self._limits(link, subjects),
            **dict.fromkeys(MOVES, partial(_live_migration, link, dialect)),
        }
        cells = {feature: self._cell(feature, tell.get(feature)) for feature in FEATURES}
        for feature in _COUNTERS:  # a VM that is busy now tells less than it did before
            if cells[feature] == _NATIVE:
                self._seen.add(feature)
            elif feature in self._seen:
                cells[feature] = _NATIVE
        return Support(
            driver="libvirt",
            hypervisor=f"{dialect.hypervisor} {version(link.getVersion(), parts=dialect.version_parts)}",
            cells=cells,
        )

    def _cell(self, feature: str, tell: Callable[[], Cell] | None) -> Cell:
        why = self._absences.why(feature)
        if why is not None:
            return Cell(level=Level.NONE, reason=why)
        if tell is not None:
            return tell()
        if feature == "changes" and not self._connection.settings.dialect.tells_tuning:
            return Cell(level=Level.NATIVE, reason=_NO_TUNING)
        return _NATIVE

    def _running(self, link: Any) -> list[Any]:
        return [seen.handle for seen in self._family.all_domains(link) if seen.state is PowerState.RUNNING]

    def _limits(self, link: Any, subjects: list[Subject]) -> Mapping[str, Callable[[], Cell]]:
        cpu, pins = self._family.cpu, self._family.pins
        shaping = partial(_seen_shaping, subjects) if self._connection.settings.dialect.remote else lambda: _NATIVE
        looks: Mapping[str, Callable[[Subject], object]] = {
            "limits.cpu_cap": lambda s: _answers(cpu.cap, s),
            "limits.cpu_weight": lambda s: _answers(cpu.weight, s),
            "limits.cpu_pinning": lambda s: pins.why_not(link, s),
            "limits.memory": lambda s: None if s.definition.balloon else "none of the VMs looked at has a balloon",
            "limits.disk_iops": lambda s: _has_disk_limit(s, "total_iops_sec"),
            "limits.disk_bandwidth": lambda s: _has_disk_limit(s, "total_bytes_sec"),
        }
        return {
            **{feature: partial(_tried, subjects, look) for feature, look in looks.items()},
            "limits.net_in": shaping,
            "limits.net_out": shaping,
        }


def _handles(rows: list[tuple[Any, Any]]) -> list[Any]:
    return [handle for handle, stats in rows if stats.get("state.state") == libvirt.VIR_DOMAIN_RUNNING]


def _subjects(handles: list[Any]) -> list[Subject]:
    subjects: list[Subject] = []
    for handle in handles:
        if len(subjects) < _MOST_LOOKED_AT:
            try:
                subjects.append(Subject(handle=handle, definition=read_definition(handle, ())))
            except (Invalid, libvirt.libvirtError):
                continue  # it vanished, or its definition is odd: look at others
    return subjects


def _answers(read: Callable[[Subject], float | None], subject: Subject) -> None:
    """Whatever it answers, it can be asked."""
    read(subject)


def _counted(feature: str, rows: list[Mapping[str, Any]]) -> Cell:
    start, end, why = _COUNTERS[feature]
    if any(key.startswith(start) and key.endswith(end) for stats in rows for key in stats):
        return _NATIVE
    return Cell(level=Level.NONE if rows else Level.UNKNOWN, reason=why if rows else _NOBODY)


def _tried(subjects: list[Subject], look: Callable[[Subject], object]) -> Cell:
    """NATIVE if one of the VMs shows it; else NONE with the last reason; UNKNOWN without any VM."""
    reason = _NOBODY
    for subject in subjects:
        try:
            why_not: object = look(subject)
        except libvirt.libvirtError as error:
            why_not = text_of(error)
        except YamoriError as error:
            why_not = error.message
        if why_not is None:
            return _NATIVE
        reason = str(why_not)
    return Cell(level=Level.NONE if subjects else Level.UNKNOWN, reason=reason)


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


def _live_migration(link: Any, dialect: Dialect) -> Cell:
    try:
        capabilities = parse(link.getCapabilities())
    except (Invalid, libvirt.libvirtError) as error:
        return Cell(level=Level.UNKNOWN, reason=f"capabilities cannot be read: {error}"[:300])
    if capabilities.find("host/migration_features/live") is not None:
        if dialect.needs_passage:
            return Cell(level=Level.NONE, reason=_BY_AGENTS)
        return _NATIVE
    return Cell(level=Level.NONE, reason="the host's capabilities name no live migration")
