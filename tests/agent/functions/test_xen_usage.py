"""What dom0's files say becomes one row a VM; what is not known is NaN, and a guest's own words are never read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.agent.functions.dom0_tree import VM_1, VM_2, Dom0, put
from yamori.agent.functions.xen.inventory import XenInventory
from yamori.agent.functions.xen.usage import XenUsage
from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import NotFound, Unreachable
from yamori.model.ids import HostId, VMId
from yamori.model.vm import PowerState


@pytest.fixture
def dom0(tmp_path: Path) -> Dom0:
    return Dom0(tmp_path)


@pytest.fixture
def thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


def frame_of(dom0: Dom0, thread: ThreadPoolExecutor) -> UsageFrame:
    return XenUsage(dom0.roster(), HostId("h"), lambda _: {1: 1.5}, thread).frame()


def test_one_row_for_each_vm_and_none_for_dom0(dom0: Dom0, thread: ThreadPoolExecutor) -> None:
    frame = frame_of(dom0, thread)
    assert frame.vms == (VM_1, VM_2)
    row = frame.values[0]
    assert row[Column.RUNNING] == 1
    assert row[Column.CPU_TIME] == 11.0
    assert row[Column.CPU_DELAY] == 1.5
    assert row[Column.MEMORY_RESIDENT] == 1 << 27
    assert row[Column.DISK_READ_OPS : Column.DISK_WRITE_TIME + 1].tolist() == [
        17,
        120,
        1 << 20,
        1 << 21,
        0.035,
        0.25,
    ]
    assert row[Column.NET_RX_BYTES : Column.NET_TX_DROPS + 1].tolist() == [1296, 824, 16, 13, 5, 2]
    assert np.isnan(frame.values[1, Column.CPU_DELAY]), "a domain that the records do not tell of is not known"
    assert frame.values[1, Column.NET_RX_BYTES] == 0, "no card has carried nothing"
    assert frame.host_values[0, HostColumn.CPUS] == 2


@pytest.mark.parametrize("how", ["two VMs", "mounted", "held"])
def test_the_latency_of_a_device_that_serves_others_too_is_not_known(
    dom0: Dom0, thread: ThreadPoolExecutor, how: str
) -> None:
    if how == "two VMs":
        dom0.disk(2, 51712, "xvda", "7:1")
    elif how == "mounted":
        put(dom0.root / "proc/self/mountinfo", "22 1 7:1 / / rw - ext4 /dev/loop1 rw\n")
    else:
        (dom0.root / "sys/dev/block/7:1/holders/dm-0").mkdir()
    row = frame_of(dom0, thread).values[0]
    assert np.isnan(row[Column.DISK_READ_TIME])
    assert row[Column.DISK_READ_OPS] == 17


def test_a_disk_that_a_qemu_serves_makes_the_disk_columns_unknown(dom0: Dom0, thread: ThreadPoolExecutor) -> None:
    dom0.values["/libxl/1/device/vbd/51728/backend"] = "/local/domain/0/backend/qdisk/1/51728"
    dom0.values["/local/domain/0/backend/qdisk/1/51728/params"] = "aio:/srv/x.img"
    assert np.isnan(frame_of(dom0, thread).values[0, Column.DISK_READ_OPS])


def test_an_empty_drive_does_not(dom0: Dom0, thread: ThreadPoolExecutor) -> None:
    dom0.values["/libxl/1/device/vbd/51728/backend"] = "/local/domain/0/backend/qdisk/1/51728"
    dom0.values["/local/domain/0/backend/qdisk/1/51728/params"] = ""
    assert frame_of(dom0, thread).values[0, Column.DISK_READ_OPS] == 17


@pytest.mark.parametrize("content", ["", "-5\n", "x" * 10_000, "9" * 5000, "1e9", "١٢"])
def test_a_counter_that_is_none_is_unknown(dom0: Dom0, thread: ThreadPoolExecutor, content: str) -> None:
    put(dom0.root / "sys/bus/xen-backend/devices/vbd-1-51712/statistics/rd_req", content)
    assert np.isnan(frame_of(dom0, thread).values[0, Column.DISK_READ_OPS])


@pytest.mark.parametrize("path", ["", "/vm/", "/vm/../../etc", "/vm/00000000-0000-0000-0000-000000000000", "\0"])
def test_a_domain_whose_id_is_none_is_no_vm(dom0: Dom0, thread: ThreadPoolExecutor, path: str) -> None:
    dom0.values["/local/domain/1/vm"] = path
    assert frame_of(dom0, thread).vms == (VM_2,)


def test_a_paused_vm_does_not_run(dom0: Dom0, thread: ThreadPoolExecutor) -> None:
    dom0.statistics.paused.add(1)
    assert frame_of(dom0, thread).column(Column.RUNNING).tolist() == [0, 1]


async def test_the_inventory_tells_names_cards_and_disks(dom0: Dom0, thread: ThreadPoolExecutor) -> None:
    dom0.values["/local/domain/2/name"] = "evil\x1b[31m\u202e\n" + "x" * 1000
    inventory = XenInventory(dom0.roster(), HostId("h"), thread)
    vm = await inventory.vm(VM_1)
    assert (vm.name, vm.state, vm.nics[0].target, vm.nics[0].mac, vm.disks[0].target) == (
        "pv1", PowerState.RUNNING, "vif1.0", "00:16:3e:00:00:11", "xvda",
    )  # fmt: skip
    assert vm.disks[0].capacity_bytes == 64 << 20
    other = await inventory.vm(VM_2)
    assert other.name.isprintable()
    assert other.name.isascii()
    assert len(other.name) <= 255
    for unknown in ("no such vm", "", "../../etc/passwd", "nul\x00inside"):
        with pytest.raises(NotFound):
            await inventory.vm(VMId(unknown))
    inventory.close()
    with pytest.raises(Unreachable):
        await inventory.read()
