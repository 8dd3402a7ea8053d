"""Control groups (version 2) that hold the threads of a VM's disks, each with its own io.max.

A disk's threads belong to the kernel and live in the root group. Taken into a group, what they ask of a block
device counts as the group's (Linux, Documentation/admin-guide/cgroup-v2.rst, "IO").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yamori.agent.functions.xen.backends import Backend, Numbers
from yamori.model.errors import Failed
from yamori.model.ids import VMId

_GROUP = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,9})")
_LINE = re.compile(r"(\d+):(\d+)((?: [a-z]+=(?:\d+|max))*)")
_KERNEL_THREAD = 0x0020_0000
"""PF_KTHREAD of include/linux/sched.h, in the flags of /proc/PID/stat."""
_COMM = 15
_MOST_GROUPS = 65_536
KEYS = ("riops", "wiops", "rbps", "wbps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One disk's group: known by its VM and its device number."""

    vm: VMId
    device: int
    path: Path


class Groups:
    """All our groups. Blocking."""

    def __init__(self, top: Path, proc: Path = Path("/proc")) -> None:
        self._top = top
        self._proc = proc

    @property
    def parent(self) -> Path:
        """The group above ours, where threads go back to: the root."""
        return self._top.parent

    def why_not(self) -> str | None:
        """Say what keeps groups from working here, None when nothing; makes the folder where it may."""
        if not (self.parent / "cgroup.controllers").exists():
            return f"{self.parent} is no control group of version 2"
        try:
            self._top.mkdir(exist_ok=True)
            for folder in (self.parent, self._top):
                control = folder / "cgroup.subtree_control"
                if "io" not in control.read_text("ascii").split():
                    control.write_text("+io", "ascii")
            with (self.parent / "cgroup.procs").open("a"), (self._top / "cgroup.procs").open("a"):
                pass
        except OSError as error:
            return f"the agent may not use control groups below {self._top}: {error.strerror}"
        return None

    def list(self) -> list[Group]:
        """All groups of ours that there are."""
        try:
            names = [path.name for path in self._top.iterdir()]
        except OSError:
            return []
        parsed = [(name, _GROUP.fullmatch(name)) for name in names[:_MOST_GROUPS]]
        return [
            Group(vm=VMId(found[1]), device=int(found[2]), path=self._top / name)
            for name, found in parsed
            if found
        ]

    def of(self, vm: VMId, device: int) -> Group:
        """The group of one disk, whether it is there or not."""
        return Group(vm=vm, device=device, path=self._top / f"{vm}.{device}")

    def bounds(self, group: Group, block: Numbers) -> Mapping[str, int | None]:
        """What io.max says of a block device; None is unlimited. All None when there is no group."""
        try:
            lines = (group.path / "io.max").read_text("ascii").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise Failed(f"io.max cannot be read: {error.strerror}", subject=str(group.path)) from error
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is not None and (int(found[1]), int(found[2])) == block:
                told = dict(word.split("=") for word in found[3].split())
                return {key: None if told.get(key, "max") == "max" else int(told[key]) for key in KEYS}
        return dict.fromkeys(KEYS)

    def bind(self, group: Group, block: Numbers, bounds: Mapping[str, int | None]) -> None:
        """Make the group if need be and set what its threads may do to a block device. Raises Failed."""
        words = " ".join(f"{key}={'max' if value is None else value}" for key, value in bounds.items())
        try:
            group.path.mkdir(exist_ok=True)
            (group.path / "io.max").write_text(f"{block[0]}:{block[1]} {words}", "ascii")
        except OSError as error:
            raise Failed(f"io.max cannot be set: {error.strerror}", subject=str(group.path)) from error

    def count(self, group: Group, block: Numbers) -> Mapping[str, int]:
        """What the group's threads have done to a block device (io.stat): rbytes, wbytes, rios, wios."""
        try:
            lines = (group.path / "io.stat").read_text("ascii").splitlines()
        except OSError:
            return {}
        for line in lines:
            name, _, rest = line.partition(" ")
            if name == f"{block[0]}:{block[1]}":
                pairs = (word.partition("=") for word in rest.split())
                return {key: int(value) for key, _, value in pairs if value.isdigit()}
        return {}

    def holds(self, group: Group) -> frozenset[int]:
        """Threads that are in the group."""
        try:
            return frozenset(int(word) for word in (group.path / "cgroup.procs").read_text("ascii").split())
        except OSError:
            return frozenset()

    def take_in(self, group: Group, threads: frozenset[int]) -> None:
        """Move threads into the group. Raises Failed."""
        self._move(threads - self.holds(group), group.path)

    def remove(self, group: Group) -> None:
        """Give the threads back and remove the group; nothing to do when there is none. Raises Failed."""
        if not group.path.exists():
            return
        self._move(self.holds(group), self.parent)
        try:
            group.path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise Failed(f"cannot be removed: {error.strerror}", subject=str(group.path)) from error

    def threads(self, disk: Backend, name: str) -> frozenset[int]:
        """Find the kernel's threads that serve a disk, by blkback's names: ``5.xvda-0``, one for each ring."""
        found = set()
        for path in self._proc.iterdir():
            if path.name.isdigit() and self._serves(path, disk.domain, name):
                found.add(int(path.name))
        return frozenset(found)

    def _serves(self, process: Path, domain: int, name: str) -> bool:
        beginning = f"{domain}.{name}-"[:_COMM]
        try:
            comm = (process / "comm").read_text("ascii", "replace").rstrip("\n")
            if not comm.startswith(beginning) or not comm.removeprefix(beginning).isdigit():
                return False
            flags = (process / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[6]
        except (OSError, IndexError):
            return False
        return bool(int(flags) & _KERNEL_THREAD)

    def _move(self, threads: frozenset[int], folder: Path) -> None:
        for thread in sorted(threads):
            try:
                (folder / "cgroup.procs").write_text(str(thread), "ascii")
            except ProcessLookupError:
                continue  # it has ended
            except OSError as error:
                raise Failed(
                    f"thread {thread} cannot be moved to {folder}: {error.strerror}",
                    mend="let the agent's group write cgroup.procs of the root group",
                ) from error
