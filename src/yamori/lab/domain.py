"""The libvirt definition of a lab guest."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from yamori.lab.layout import Layout
from yamori.lab.spec import GuestPlan, LabSpec, Storage

METADATA_NAMESPACE = "https://yamori.dev/xmlns/vm/1"
LOCAL_DISKS = Path("/srv")
"""Where a host sees its own local disks; the same path with other content on every host."""

_COMMAND_LINE = "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check lpj=4000000"
_TRANSLATION_CACHE_MIB = 32


def definition(
    spec: LabSpec, layout: Layout, plan: GuestPlan, *, domain_type: str, kernel: Path, initrd: Path
) -> str:
    """Domain XML: PVH boot, RAM in a file of the host, virtio disk and nic, balloon statistics, serial log."""
    domain = ET.Element("domain", type=domain_type)
    add_identity(domain, plan)
    text(domain, "memory", str(spec.guest_memory_mib), unit="MiB")
    text(domain, "currentMemory", str(spec.guest_memory_mib), unit="MiB")
    backing = ET.SubElement(domain, "memoryBacking")
    ET.SubElement(backing, "source", type="file")
    ET.SubElement(backing, "access", mode="shared")
    text(domain, "vcpu", "1")
    text(ET.SubElement(domain, "cputune"), "shares", str(plan.cpu_shares))
    system = ET.SubElement(domain, "os")
    text(system, "type", "hvm", arch="x86_64", machine="pc")
    text(system, "kernel", str(kernel))
    text(system, "initrd", str(initrd))
    text(system, "cmdline", f"{_COMMAND_LINE} {guest_settings(layout, plan, spec.working_set_mib)}")
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    if domain_type == "qemu":
        text(ET.SubElement(features, "tcg"), "tb-cache", str(_TRANSLATION_CACHE_MIB), unit="MiB")
    text(domain, "on_reboot", "restart")
    text(domain, "on_crash", "destroy")
    performance = ET.SubElement(domain, "perf")
    for event in ("page_faults_maj", "page_faults_min"):
        ET.SubElement(performance, "event", name=event, enabled="yes")
    _devices(domain, layout, plan)
    return ET.tostring(domain, encoding="unicode")


def add_identity(domain: ET.Element, plan: GuestPlan) -> None:
    """Name, UUID, owner and words for people: what a definition says whatever hypervisor it is for."""
    ET.register_namespace("yamori", METADATA_NAMESPACE)
    text(domain, "name", plan.name)
    text(domain, "uuid", plan.uuid)
    metadata = ET.SubElement(domain, "metadata")
    ET.SubElement(metadata, f"{{{METADATA_NAMESPACE}}}vm", tenant=plan.tenant, sla=plan.sla)
    text(domain, "title", plan.title)
    text(domain, "description", f"tenant {plan.tenant}, {plan.sla}, disk on {plan.storage} storage")


def guest_settings(layout: Layout, plan: GuestPlan, working_set_mib: int) -> str:
    """What the guest's init reads from the kernel's command line."""
    return (
        f"yamori.address={layout.guest_address(plan.number)}/24 yamori.name={plan.name} "
        f"yamori.workingset={working_set_mib} yamori.shell=1"
    )


def _devices(domain: ET.Element, layout: Layout, plan: GuestPlan) -> None:
    devices = ET.SubElement(domain, "devices")
    text(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    _disk(devices, layout, plan)
    nic = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(nic, "mac", address=layout.guest_mac(plan.number))
    ET.SubElement(nic, "source", bridge="vmbr0")
    ET.SubElement(nic, "model", type="virtio")
    ET.SubElement(nic, "rom", enabled="no")
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "log", file=f"/var/log/libvirt/qemu/{plan.name}.console.log", append="off")
    ET.SubElement(serial, "target", port="0")
    ET.SubElement(ET.SubElement(devices, "console", type="pty"), "target", type="serial", port="0")
    ET.SubElement(devices, "controller", type="usb", model="none")
    balloon = ET.SubElement(devices, "memballoon", model="virtio")
    ET.SubElement(balloon, "stats", period="1")


def _disk(devices: ET.Element, layout: Layout, plan: GuestPlan) -> None:
    if plan.storage is Storage.ARRAY:
        disk = ET.SubElement(devices, "disk", type="network", device="disk")
        ET.SubElement(disk, "driver", name="qemu", type="raw", cache="none")
        source = ET.SubElement(disk, "source", protocol="nbd", name=plan.name)
        ET.SubElement(source, "host", transport="unix", socket=str(layout.array_socket(plan.host)))
    else:
        disk = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(disk, "driver", name="qemu", type="raw", cache="none", io="threads")
        ET.SubElement(disk, "source", file=str(LOCAL_DISKS / f"{plan.name}.img"))
    ET.SubElement(disk, "target", dev="vda", bus="virtio")
    ET.SubElement(disk, "serial").text = plan.name


def text(parent: ET.Element, tag: str, content: str, **attributes: str) -> ET.Element:
    """Add an element that holds text."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = content
    return element
