"""From the server's objects to the model's values. Pure; what is not as it should be becomes None or a blank."""

import fnmatch
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import Found, whole
from yamori.drivers.vsphere.words import clean
from yamori.model.change import ChangeKind
from yamori.model.host import Host
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.vm import VM, Disk, Nic, PowerState

MIB = 1 << 20
KIB = 1 << 10
HOST_PATHS = (
    "name",
    "summary.config.product.name",
    "summary.config.product.version",
    "summary.hardware.numCpuCores",
    "summary.hardware.memorySize",
)
VM_PATHS = (
    "name",
    "config.changeVersion",
    "config.instanceUuid",
    "config.template",
    "runtime.connectionState",
    "runtime.host",
    "runtime.powerState",
    "summary.config.memorySizeMB",
    "summary.config.numCpu",
)
DEVICES = "config.hardware.device"
_STATES = {
    "poweredOn": PowerState.RUNNING,
    "poweredOff": PowerState.STOPPED,
    "suspended": PowerState.PAUSED,
}
_CHANGES = {
    ("poweredOff", "poweredOn"): ChangeKind.STARTED,
    ("suspended", "poweredOn"): ChangeKind.RESUMED,
    ("poweredOn", "suspended"): ChangeKind.PAUSED,
    ("poweredOn", "poweredOff"): ChangeKind.STOPPED,
    ("suspended", "poweredOff"): ChangeKind.STOPPED,
}
_MOST_DEVICES = 1000


def vm_id(untrusted_uuid: Any) -> VMId | None:
    """The id in its one spelling; None for what is no UUID."""
    if not isinstance(untrusted_uuid, str) or len(untrusted_uuid) > 64:
        return None
    try:
        return VMId(str(uuid.UUID(untrusted_uuid.strip())))
    except ValueError:
        return None


def host_ids(endpoint: EndpointName, hosts: Iterable[Found]) -> dict[str, HostId]:
    """Ids of hosts by the server's key: ``endpoint/name``; of equal names each gets its key behind it."""
    names = {found.key: (found.text("name", 128) or found.key).replace("/", "_") for found in hosts}
    times: dict[str, int] = {}
    for name in names.values():
        times[name] = times.get(name, 0) + 1
    return {
        key: HostId(f"{endpoint}/{name}" if times[name] == 1 else f"{endpoint}/{name}~{clean(key, 64)}")
        for key, name in names.items()
    }


def power_of(found: Found) -> str:
    """The server's own word for the power state."""
    return str(found.values.get("runtime.powerState"))


def state_of(found: Found) -> PowerState:
    """Whether it executes; UNKNOWN while its host cannot tell, whatever was last known."""
    if found.text("runtime.connectionState") not in (None, "connected"):
        return PowerState.UNKNOWN
    return _STATES.get(power_of(found), PowerState.UNKNOWN)


def change_between(before: str, now: str) -> ChangeKind | None:
    """What happened when the power state went from one word to another; None when nothing did."""
    return None if before == now else _CHANGES.get((before, now), ChangeKind.RECONFIGURED)


def is_template(found: Found) -> bool:
    """Whether it is a template: it looks like a VM and can never run."""
    return found.values.get("config.template") is True


def host_key(found: Found) -> str | None:
    """The server's key of the host that a VM is on."""
    ref = found.values.get("runtime.host")
    return str(ref._moId) if isinstance(ref, vim.HostSystem) else None


def host(found: Found, id: HostId, site: str | None) -> Host:
    """One host. CPUs are cores: that is what the server's own limits count."""
    memory = found.number("summary.hardware.memorySize")
    cores = found.number("summary.hardware.numCpuCores")
    return Host(
        id=id,
        name=found.text("name", 128) or found.key,
        hypervisor=found.text("summary.config.product.name", 80) or "VMware ESXi",
        hypervisor_version=found.text("summary.config.product.version", 40) or "unknown",
        cpus=cores if cores is not None and cores > 0 else None,
        memory_bytes=memory if memory is not None and memory > 0 else None,
        site=site,
    )


def vm(
    found: Found,
    id: VMId,
    *,
    host: HostId | None,
    hardware: tuple[tuple[Disk, ...], tuple[Nic, ...]],
    labels: Mapping[str, Mapping[str, str]],
) -> VM:
    """One VM. Its memory is what was configured: the balloon is not told here."""
    name = found.text("name") or id
    memory = max(0, found.number("summary.config.memorySizeMB") or 0) * MIB
    return VM(
        id=id,
        name=name,
        host=host,
        state=state_of(found),
        vcpus=max(0, found.number("summary.config.numCpu") or 0),
        memory_bytes=memory,
        memory_max_bytes=memory,
        disks=hardware[0],
        nics=hardware[1],
        labels=labels_for(id, name, labels),
    )


def devices(found: Found) -> list[Any]:
    """The VM's virtual devices."""
    told = found.values.get(DEVICES)
    return [d for d in told[:_MOST_DEVICES] if isinstance(d, vim.vm.device.VirtualDevice)] if told else []


def hardware(found: Found) -> tuple[tuple[Disk, ...], tuple[Nic, ...]]:
    """Disks and cards."""
    all_of_them = devices(found)
    return (
        tuple(_disk(d) for d in all_of_them if isinstance(d, vim.vm.device.VirtualDisk)),
        tuple(_nic(d) for d in all_of_them if isinstance(d, vim.vm.device.VirtualEthernetCard)),
    )


def label_of(device: Any) -> str:
    """What the server calls a device, as in ``Hard disk 1``; else its number in the VM."""
    description = getattr(device, "deviceInfo", None)
    label = getattr(description, "label", None)
    return clean(label, 64) if isinstance(label, str) and label.strip() else f"device {device.key}"


def labels_for(vm: VMId, name: str, configured: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Labels by id or by pattern of names, later entries over earlier ones."""
    merged: dict[str, str] = {}
    for pattern, labels in configured.items():
        if vm == pattern or fnmatch.fnmatchcase(name, pattern):
            merged.update(labels)
    return merged


def _disk(device: Any) -> Disk:
    capacity = whole(device.capacityInBytes)
    if not capacity:
        kib = whole(device.capacityInKB)
        capacity = None if kib is None else kib * KIB
    sharing = getattr(device.backing, "sharing", None)
    return Disk(
        target=label_of(device),
        capacity_bytes=None if capacity is None or capacity < 0 else capacity,
        shared=True if sharing == "sharingMultiWriter" else None,
    )


def _nic(device: Any) -> Nic:
    port = getattr(device.backing, "port", None)
    network = getattr(device.backing, "deviceName", None) or getattr(port, "portgroupKey", None)
    return Nic(
        target=label_of(device),
        mac=clean(device.macAddress or "", 32).lower(),
        network=clean(network, 255) or None if isinstance(network, str) else None,
    )
