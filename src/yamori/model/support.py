"""How far a capability holds on one host: native, by the agent, or not, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from yamori.model.ids import HostId


class Level(StrEnum):
    """Who provides a feature. UNKNOWN means that the probe could not tell: never shown as present."""

    NATIVE = "native"
    AGENT = "agent"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the support matrix. ``reason`` is required unless the level is NATIVE or AGENT."""

    level: Level
    reason: str = ""


FEATURES: tuple[str, ...] = (
    "inventory",
    "changes",
    "usage",
    "usage.cpu_delay",
    "usage.memory_resident",
    "usage.disk_latency",
    "usage.net_drops",
    "power",
    "limits.cpu_cap",
    "limits.cpu_weight",
    "limits.cpu_pinning",
    "limits.memory",
    "limits.disk_iops",
    "limits.disk_bandwidth",
    "limits.net_in",
    "limits.net_out",
    "limits.expiry",
    "migration.live",
    "migration.encrypted",
    "migration.copied_storage",
    "migration.cancel",
    "migration.bandwidth",
)
"""Rows of the matrix: a capability's word, then its part. The closed set of what can be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSupport:
    """One host of an endpoint that speaks for several. ``cells``: only those that differ from the endpoint's."""

    hypervisor: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What one endpoint can do, as probed. Every name of FEATURES is in ``cells``.

    ``provisional``: a part of the endpoint could not be asked this time; ask again soon.
    ``hosts``: each host of an endpoint that speaks for several which may differ; empty where none can. A cell
    of the endpoint then says what is there on at least one host.
    """

    driver: str
    hypervisor: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    provisional: bool = False
    hosts: Mapping[HostId, HostSupport] = field(default_factory=dict)

    def at(self, host: HostId) -> Mapping[str, Cell]:
        """Return all cells as they are on one host."""
        single = self.hosts.get(host)
        return self.cells if single is None else {**self.cells, **single.cells}
