"""The same vCenter behind the driver's back: another session of the vendor's library, used by tests alone."""

import itertools
import ssl
import time
import uuid
from typing import Any

from pyVmomi import SoapStubAdapter, vim, vmodl

from yamori.lab.vsphere import VCenter
from yamori.lab.vsphere.vcenter import USER
from yamori.model.ids import VMId

_NUMBERS = itertools.count(1)


class VCenterByHand:
    """Administers a vCenter as its owner would."""

    def __init__(self, vcenter: VCenter) -> None:
        context = ssl.create_default_context(cafile=str(vcenter.ca))
        stub = SoapStubAdapter(
            host=vcenter.address, port=vcenter.port, version="vim.version.version11", sslContext=context
        )
        self.content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        password = vcenter.password_file.read_text(encoding="utf-8").strip()
        self.session = self.content.sessionManager.Login(USER, password)
        self._stub = stub

    def close(self) -> None:
        self.content.sessionManager.Logout()
        self._stub.DropConnections()

    def all(self, kind: Any) -> list[Any]:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
        try:
            return list(self.get(view, "view") or [])
        finally:
            view.DestroyView()

    def get(self, ref: Any, path: str) -> Any:
        collector = vmodl.query.PropertyCollector
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=type(ref), pathSet=[path])],
            objectSet=[collector.ObjectSpec(obj=ref)],
        )
        found = self.content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
        values = found.objects[0].propSet
        return values[0].val if values else None

    def named(self, kind: Any, name: str) -> Any:
        return next(ref for ref in self.all(kind) if self.get(ref, "name") == name)

    def wait(self, task: Any) -> Any:
        deadline = time.monotonic() + 60
        while (state := self.get(task, "info.state")) not in ("success", "error"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        if state == "error":
            raise self.get(task, "info.error")
        return self.get(task, "info.result")

    def create(self, *, host: str = "DC0_H0", name: str | None = None, memory_mb: int = 1024) -> VMId:
        """Make a VM with a disk and a card on a host outside of clusters, running."""
        id = VMId(str(uuid.uuid4()))
        where = self.named(vim.HostSystem, host)
        parent = self.get(where, "parent")
        datastore = self.get(self.get(where, "datastore")[0], "name")
        spec = vim.vm.ConfigSpec(
            name=name or f"kit-{next(_NUMBERS)}",
            instanceUuid=id,
            uuid=str(uuid.uuid4()),
            numCPUs=2,
            memoryMB=memory_mb,
            guestId="otherGuest64",
            files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
            cpuAllocation=ordinary(2000),
            memoryAllocation=ordinary(memory_mb * 10),
            deviceChange=[*_disk(datastore), _card()],
        )
        folder = self.get(self.all(vim.Datacenter)[0], "vmFolder")
        ref = self.wait(folder.CreateVM_Task(spec, self.get(parent, "resourcePool"), where))
        self.wait(ref.PowerOnVM_Task())
        return id

    def find(self, vm: VMId) -> Any:
        return self.content.searchIndex.FindByUuid(None, vm, True, True)

    def destroy(self, vm: VMId) -> None:
        ref = self.find(vm)
        if ref is None:
            return
        if self.get(ref, "runtime.powerState") != "poweredOff":
            self.wait(ref.PowerOffVM_Task())
        self.wait(ref.Destroy_Task())


def ordinary(shares: int) -> Any:
    """What a server gives a VM of which nobody has said anything."""
    return vim.ResourceAllocationInfo(
        reservation=0, limit=-1, expandableReservation=False, shares=vim.SharesInfo(level="normal", shares=shares)
    )


def _disk(datastore: str) -> list[Any]:
    controller = vim.vm.device.VirtualLsiLogicController(key=-1, busNumber=0, sharedBus="noSharing")
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[{datastore}]", diskMode="persistent", thinProvisioned=True
    )
    disk = vim.vm.device.VirtualDisk(
        key=-2, controllerKey=-1, unitNumber=0, capacityInKB=1024 * 1024, backing=backing
    )
    spec = vim.vm.device.VirtualDeviceSpec
    return [spec(operation="add", device=controller), spec(operation="add", fileOperation="create", device=disk)]


def _card() -> Any:
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    card = vim.vm.device.VirtualE1000(key=-3, backing=backing, addressType="generated")
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=card)
