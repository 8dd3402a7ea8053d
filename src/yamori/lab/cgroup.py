"""Control groups (v1 hierarchies, as libvirt 9 uses them) that hold all processes of a lab."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from yamori.lab.layout import CGROUP_ROOT, CONTROLLERS
from yamori.lab.processes import ProcessId, end
from yamori.lab.registry import Kind, Registry
from yamori.model.errors import Failed, Unsupported

_MIB = 1 << 20


def check_hierarchies() -> None:
    """Raise Unsupported when a v1 controller that the lab needs is not mounted."""
    missing = [name for name in CONTROLLERS if not (CGROUP_ROOT / name / "cgroup.procs").exists()]
    if missing:
        raise Unsupported(
            "lab",
            f"cgroup v1 controllers are not mounted: {', '.join(missing)}",
            mend="boot with systemd.unified_cgroup_hierarchy=0 on the kernel's command line",
        )


def available_cores() -> list[int]:
    """Cores that the top cpuset may use."""
    return _parse_cores((CGROUP_ROOT / "cpuset" / "cpuset.cpus").read_text())


def make(registry: Registry, name: str, *, cores: list[int] | None = None, cpu_shares: int = 1024) -> None:
    """Make one group in every hierarchy; ``name`` may have several parts, each parent must exist."""
    registry.append(Kind.CGROUP, name)
    for controller in CONTROLLERS:
        group = CGROUP_ROOT / controller / name
        group.mkdir(exist_ok=True)
        if controller == "cpuset":
            chosen = ",".join(map(str, cores if cores is not None else available_cores()))
            (group / "cpuset.cpus").write_text(chosen)
            (group / "cpuset.mems").write_text((CGROUP_ROOT / "cpuset" / "cpuset.mems").read_text())
        elif controller == "cpu":
            (group / "cpu.shares").write_text(str(cpu_shares))


def enter(name: str, pid: int) -> None:
    """Move a process into the group in every hierarchy."""
    for controller in CONTROLLERS:
        (CGROUP_ROOT / controller / name / "cgroup.procs").write_text(str(pid))


def pids(name: str) -> list[int]:
    """Processes of the group and of all groups below it."""
    found: list[int] = []
    for folder, _, files in os.walk(CGROUP_ROOT / "pids" / name):
        if "cgroup.procs" in files:
            try:
                found.extend(int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split())
            except (FileNotFoundError, OSError) as error:
                if error.errno not in (errno.ENODEV, errno.ENOENT):
                    raise
    return found


def kill_all(name: str, *, timeout_seconds: float = 20.0) -> int:
    """SIGKILL until the group is empty, also what forks meanwhile; returns how many were killed."""
    deadline, killed = time.monotonic() + timeout_seconds, 0
    while found := [identity for pid in pids(name) if (identity := ProcessId.of(pid)) is not None]:
        killed += len(end(found, timeout_seconds=timeout_seconds))
        if time.monotonic() > deadline:
            raise Failed(f"control group {name} is never empty: {[identity.pid for identity in found]}")
    return killed


def remove(name: str, *, timeout_seconds: float = 10.0) -> bool:
    """Remove the group and all below it from every hierarchy; False when there is none."""
    deadline, existed = time.monotonic() + timeout_seconds, False
    for controller in CONTROLLERS:
        top = CGROUP_ROOT / controller / name
        if not top.exists():
            continue
        existed = True
        for folder, _, _ in os.walk(top, topdown=False):
            while True:
                try:
                    Path(folder).rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:
                    # a group stays busy for a moment after its last process has ended
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise Failed(f"cannot remove control group {folder}: {error.strerror}") from error
                    time.sleep(0.02)
                else:
                    break
    return existed


def prune(name: str) -> None:
    """Remove all empty groups below a group, but not the group itself."""
    for controller in CONTROLLERS:
        for child in (CGROUP_ROOT / controller / name).iterdir():
            if child.is_dir():
                remove(f"{name}/{child.name}")


def memory_used_mib(name: str) -> int:
    """Memory charged to the group and all below it."""
    return int((CGROUP_ROOT / "memory" / name / "memory.usage_in_bytes").read_text()) // _MIB


def limit_memory(name: str, mib: int) -> None:
    """Set the budget; lowering it below what is used reclaims at once and fails with Failed if it cannot."""
    try:
        (CGROUP_ROOT / "memory" / name / "memory.limit_in_bytes").write_text(str(mib * _MIB))
    except OSError as error:
        raise Failed(f"cannot hold {name} to {mib} MiB: {error.strerror}") from error


def _parse_cores(text: str) -> list[int]:
    cores: list[int] = []
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        cores.extend(range(int(low), int(high or low) + 1))
    return cores
