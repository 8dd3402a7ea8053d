"""Disks of Xen VMs are bounded by groups of their threads: read back, and given back without a trace."""

import errno
from pathlib import Path

import pytest

from tests.agent.functions.dom0_tree import VM_1, VM_2, Dom0
from yamori.agent.functions.xen.disks import DiskBounds
from yamori.agent.functions.xen.groups import Groups
from yamori.model.errors import Conflict, Failed, Unsupported, YamoriError
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Level
from yamori.model.vm import VM, PowerState

IOPS, BANDWIDTH = LimitKind.DISK_IOPS, LimitKind.DISK_BANDWIDTH
GROUP = f"yamori/{VM_1}.51712"


def shape(vm: VMId) -> VM:
    return VM(
        id=vm, name="x", host=HostId("h"), state=PowerState.RUNNING, vcpus=1, memory_bytes=1, memory_max_bytes=1
    )


class FolderGroups(Groups):
    """Groups in a folder, where what the kernel does by itself is done here."""

    def bind(self, group, block, bounds):  # type: ignore[no-untyped-def]
        merged = {**self.bounds(group, block), **bounds}
        super().bind(group, block, merged)

    def _move(self, threads, folder):  # type: ignore[no-untyped-def]
        for path in (*folder.parent.rglob("cgroup.procs"), folder / "cgroup.procs"):
            held = set(path.read_text().split()) if path.exists() else set()
            held = held | {str(t) for t in threads} if path.parent == folder else held - {str(t) for t in threads}
            path.write_text("\n".join(sorted(held)))

    def remove(self, group):  # type: ignore[no-untyped-def]
        if group.path.exists():
            self._move(self.holds(group), self.parent)
            for file in list(group.path.iterdir()):
                file.unlink()
            group.path.rmdir()


@pytest.fixture
def dom0(tmp_path: Path) -> Dom0:
    return Dom0(tmp_path)


@pytest.fixture
def bounds(dom0: Dom0) -> DiskBounds:
    return DiskBounds(dom0.roster(), FolderGroups(dom0.cgroup / "yamori", dom0.root / "proc"))


def test_where_groups_can_be_used_the_agent_says_so(bounds: DiskBounds, dom0: Dom0) -> None:
    assert {cell.level for cell in bounds.cells().values()} == {Level.AGENT}
    (dom0.cgroup / "cgroup.controllers").unlink()
    cell = bounds.cells()[IOPS]
    assert cell.level is Level.NONE
    assert "version 2" in cell.reason


def test_a_bound_is_shared_out_and_read_back_as_one(bounds: DiskBounds, dom0: Dom0) -> None:
    assert bounds.read(shape(VM_1)) == {IOPS: None, BANDWIDTH: None}
    bounds.plan(shape(VM_1), {IOPS: 101.0})()
    assert bounds.read(shape(VM_1)) == {IOPS: 101.0, BANDWIDTH: None}
    bounds.plan(shape(VM_1), {BANDWIDTH: 4e6})()
    assert bounds.read(shape(VM_1)) == {IOPS: 101.0, BANDWIDTH: 4e6}
    assert (dom0.cgroup / GROUP / "io.max").read_text() == "7:1 riops=51 wiops=50 rbps=2000000 wbps=2000000"
    assert (dom0.cgroup / GROUP / "cgroup.procs").read_text() == "239"


def test_lifting_both_gives_the_thread_back_and_removes_the_group(bounds: DiskBounds, dom0: Dom0) -> None:
    bounds.plan(shape(VM_1), {IOPS: 100.0, BANDWIDTH: 4e6})()
    bounds.plan(shape(VM_1), {IOPS: None})()
    assert bounds.read(shape(VM_1)) == {IOPS: None, BANDWIDTH: 4e6}
    for _ in range(2):
        bounds.plan(shape(VM_1), {BANDWIDTH: None})()
        assert not (dom0.cgroup / GROUP).exists()
        assert (dom0.cgroup / "cgroup.procs").read_text() == "239"


def test_setting_the_same_again_does_not_disturb_how_it_is_shared_out(bounds: DiskBounds, dom0: Dom0) -> None:
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    (dom0.cgroup / GROUP / "io.max").write_text("7:1 rbps=max wbps=max riops=95 wiops=5\n")
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    assert "riops=95 wiops=5" in (dom0.cgroup / GROUP / "io.max").read_text()


def test_what_another_hand_has_set_on_one_way_alone_has_no_one_number(bounds: DiskBounds, dom0: Dom0) -> None:
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    (dom0.cgroup / GROUP / "io.max").write_text("7:1 rbps=max wbps=max riops=95 wiops=max\n")
    assert isinstance(bounds.read(shape(VM_1))[IOPS], Conflict)


def test_a_bound_that_does_not_hold_the_thread_is_not_told_as_holding(bounds: DiskBounds, dom0: Dom0) -> None:
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    (dom0.cgroup / GROUP / "cgroup.procs").write_text("")
    assert isinstance(bounds.read(shape(VM_1))[IOPS], Conflict)
    dom0.thread(400, "1.xvda-0")
    (dom0.root / "proc/239/comm").unlink()
    bounds.tend()
    assert (dom0.cgroup / GROUP / "cgroup.procs").read_text() == "400"
    assert bounds.read(shape(VM_1))[IOPS] == 100.0


def test_a_group_whose_vm_is_gone_is_removed(bounds: DiskBounds, dom0: Dom0) -> None:
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    bounds.tend()
    assert (dom0.cgroup / GROUP).exists()
    dom0.statistics.numbers.remove(1)
    bounds.tend()
    assert not (dom0.cgroup / GROUP).exists()


@pytest.mark.parametrize(
    ("pid", "name", "flags"),
    [(500, "1.xvda-0", 0x400), (501, "11.xvda-0", 0x200040), (502, "1.xvdab-0", 0x200040)],
)
def test_only_the_kernel_s_own_thread_of_that_very_disk_is_taken(
    bounds: DiskBounds, dom0: Dom0, pid: int, name: str, flags: int
) -> None:
    dom0.thread(pid, name, flags)
    bounds.plan(shape(VM_1), {IOPS: 100.0})()
    assert (dom0.cgroup / GROUP / "cgroup.procs").read_text() == "239"


def test_a_vm_whose_disk_has_no_thread_here_is_refused_before_anything_is_changed(
    bounds: DiskBounds, dom0: Dom0
) -> None:
    with pytest.raises(Conflict, match="no thread"):
        bounds.plan(shape(VM_2), {IOPS: 100.0})
    dom0.values["/libxl/1/device/vbd/51728/backend"] = "/local/domain/0/backend/qdisk/1/51728"
    dom0.values["/local/domain/0/backend/qdisk/1/51728/params"] = "aio:/srv/x.img"
    with pytest.raises(Unsupported, match="QEMU"):
        bounds.plan(shape(VM_1), {IOPS: 100.0})
    assert not (dom0.cgroup / GROUP).exists()


def test_what_the_kernel_refuses_is_told_with_its_words(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(dom0.cgroup / "yamori", dom0.root / "proc")

    def refuse(path: Path, *_: object) -> int:
        raise OSError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(Failed, match="Permission denied") as refusal:
        groups.bind(groups.of(VM_1, 51712), (7, 1), {"riops": 5})
    assert isinstance(refusal.value, YamoriError)
