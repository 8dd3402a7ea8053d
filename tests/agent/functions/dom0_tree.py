# ruff: noqa: E501 -- files as the kernel writes them
"""A dom0 in a folder: sysfs and /proc as a real one shows them (Linux 6.1, Xen 4.17), and a toolstack's words."""

from pathlib import Path

from yamori.agent.functions.xen.backends import Backends
from yamori.agent.functions.xen.library import Domain, Node
from yamori.agent.functions.xen.roster import Roster
from yamori.model.ids import VMId

VM_1 = VMId("5b5b5b5b-0000-4000-8000-000000000001")
VM_2 = VMId("5b5b5b5b-0000-4000-8000-000000000002")
STAT = "      17        0     2048       35      120        3     4096      250        0      180      285        0        0        0        0        0        0\n"
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
vif1.0:     824      13    0    2    0     0          0         0     1296      16    0    5    0     0       0          0
"""


class FakeStore:
    """XenStore as a mapping; a path that a guest may write to must never be asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def read(self, path: str) -> str | None:
        self._check(path)
        return self.values.get(path)

    def list(self, path: str) -> list[str]:
        self._check(path)
        beginning = f"{path}/"
        return sorted(
            {key.removeprefix(beginning).split("/")[0] for key in self.values if key.startswith(beginning)}
        )

    def close(self) -> None: ...

    @staticmethod
    def _check(path: str) -> None:
        words = path.split("/")
        assert words[:3] != ["", "local", "domain"] or words[3] == "0" or words[4] in {"vm", "name"}, path


class FakeStatistics:
    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.paused: set[int] = set()

    def read(self) -> Node:
        domains = tuple(
            Domain(
                number=n, cpu_s=10.0 + n, vcpus=1, memory=1 << 27, memory_max=1 << 27,
                paused=n in self.paused, shut_down=False, crashed=False, dying=False,
            )
            for n in (0, *self.numbers)
        )  # fmt: skip
        return Node(cpus=2, tsc_hz=1e9, memory=1 << 31, memory_free=1 << 30, domains=domains)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Dom0:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.values: dict[str, str] = {}
        self.statistics = FakeStatistics(1, 2)
        for number, vm in ((1, VM_1), (2, VM_2)):
            self.values[f"/local/domain/{number}/vm"] = f"/vm/{vm}"
            self.values[f"/local/domain/{number}/name"] = f"pv{number}"
            self.disk(number, 51712, "xvda", f"7:{number}")
        self.card(1, 0)
        put(root / "proc/net/dev", NET_DEV)
        put(root / "proc/self/mountinfo", "22 1 253:9 / / rw - ext4 /dev/root rw\n")
        self.thread(239, "1.xvda-0")
        self.cgroup = root / "cgroup"
        put(self.cgroup / "cgroup.controllers", "io cpu\n")
        put(self.cgroup / "cgroup.subtree_control", "io\n")
        put(self.cgroup / "cgroup.procs", "")
        put(self.cgroup / "yamori/cgroup.subtree_control", "io\n")
        put(self.cgroup / "yamori/cgroup.procs", "")

    def disk(self, number: int, device: int, name: str, block: str) -> None:
        folder = self.root / f"sys/bus/xen-backend/devices/vbd-{number}-{device}"
        put(folder / "physical_device", f"{block}\n")
        put(folder / "mode", "w\n")
        for counter, value in (("rd_req", 17), ("wr_req", 120), ("rd_sect", 2048), ("wr_sect", 4096)):
            put(folder / "statistics" / counter, f"{value}\n")
        major, minor = (int(word, 16) for word in block.split(":"))
        there = self.root / f"sys/dev/block/{major}:{minor}"
        put(there / "stat", STAT)
        put(there / "size", "131072\n")
        (there / "holders").mkdir(parents=True, exist_ok=True)
        self.values[f"/libxl/{number}/device/vbd/{device}/backend"] = (
            f"/local/domain/0/backend/vbd/{number}/{device}"
        )
        self.values[f"/local/domain/0/backend/vbd/{number}/{device}/dev"] = name

    def card(self, number: int, device: int) -> None:
        folder = self.root / f"sys/bus/xen-backend/devices/vif-{number}-{device}"
        (folder / f"net/vif{number}.{device}").mkdir(parents=True)
        backend = f"/local/domain/0/backend/vif/{number}/{device}"
        self.values[f"/libxl/{number}/device/vif/{device}/backend"] = backend
        self.values[f"{backend}/mac"] = "00:16:3e:00:00:11"
        self.values[f"{backend}/bridge"] = "xenbr0"

    def thread(self, pid: int, name: str, flags: int = 2_097_216) -> None:
        put(self.root / f"proc/{pid}/comm", f"{name[:15]}\n")
        put(self.root / f"proc/{pid}/stat", f"{pid} ({name[:15]}) S 2 0 0 0 -1 {flags} 0 0 0 0\n")

    def roster(self) -> Roster:
        return Roster(self.statistics, FakeStore(self.values), Backends(self.root))  # type: ignore[arg-type]
