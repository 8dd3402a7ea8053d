"""Clear a lab by its record, from any process, any number of times, whatever state it was left in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from yamori.lab import cache, cgroup, network, slot
from yamori.lab.layout import CGROUP_ROOT, STATE_ROOT
from yamori.lab.processes import ProcessId, end
from yamori.lab.registry import Kind, Registry
from yamori.model.errors import Failed


@dataclass(slots=True, kw_only=True)
class Cleared:
    """What a clearing removed; all empty when there was nothing (any more)."""

    processes: int = 0
    links: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there was something to clear."""
        return bool(self.processes or self.links or self.namespaces or self.cgroups or self.directories)

    def as_record(self) -> dict[str, Any]:
        """Plain values for printing."""
        return asdict(self)


def clear(name: str) -> Cleared:
    """End and remove all that the lab's registry names, prove that nothing is left, then remove the registry.

    The caller holds the lab's lock. Raises Failed when something resists; a second call goes on from there.
    """
    cleared = Cleared()
    registry = Registry(STATE_ROOT / name / "registry.jsonl")
    if registry.path.exists():
        registry.append(Kind.STATE, "clearing")
        _clear_recorded(registry, cleared)
        left = remains(registry)
        if left:
            raise Failed(f"lab {name} is not clear: {', '.join(left)} left")
    if registry.path.parent.exists():
        shutil.rmtree(registry.path.parent)
        cleared.directories.append(str(registry.path.parent))
    cache.sweep()
    number = slot.holders().get(name)
    if number is not None:
        slot.release(number, name)
    return cleared


def _clear_recorded(registry: Registry, cleared: Cleared) -> None:
    groups = _ids(registry, Kind.CGROUP)
    cleared.processes += len(end(_of_this_boot(registry)))
    for group in groups:
        cleared.processes += cgroup.kill_all(group)
    cleared.links += [name for name in _ids(registry, Kind.LINK) if network.remove_link(name)]
    cleared.namespaces += [name for name in _ids(registry, Kind.NETNS) if network.remove_namespace(name)]
    # children were recorded after their parents
    cleared.cgroups += [name for name in reversed(groups) if cgroup.remove(name)]
    for path in map(Path, _ids(registry, Kind.DIRECTORY)):
        if path.exists():
            shutil.rmtree(path)
            cleared.directories.append(str(path))


def _of_this_boot(registry: Registry) -> Iterable[ProcessId]:
    """Recorded processes, unless the machine was booted since: start times of two boots must not be compared."""
    heads = registry.of(Kind.LAB)
    return registry.processes() if heads and heads[0].details.get("boot") == boot_id() else []


def boot_id() -> str:
    """The kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def remains(registry: Registry) -> list[str]:
    """What of the recorded things still exists, each named; empty when the lab is gone."""
    left = [f"process {process.pid}" for process in _of_this_boot(registry) if process.alive()]
    left += [f"link {name}" for name in _ids(registry, Kind.LINK) if Path(f"/sys/class/net/{name}").exists()]
    left += [f"namespace {name}" for name in _ids(registry, Kind.NETNS) if (network.NETNS_ROOT / name).exists()]
    groups = _ids(registry, Kind.CGROUP)
    left += [f"control group {name}" for name in groups if (CGROUP_ROOT / "pids" / name).exists()]
    left += [f"directory {path}" for path in _ids(registry, Kind.DIRECTORY) if Path(path).exists()]
    left += [f"mount {point}" for point in _mounts_below(registry.path.parent)]
    return left


def _mounts_below(folder: Path) -> list[str]:
    """Mount points of this namespace below a folder (proc(5), mountinfo field 5)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}{os.sep}")]


def _ids(registry: Registry, kind: Kind) -> list[str]:
    """Recorded ids of a kind without repeats, in order."""
    return list(dict.fromkeys(record.id for record in registry.of(kind)))
