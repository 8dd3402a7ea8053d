"""The libvirt definition of a guest on a Xen host."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from yamori.lab.domain import add_identity, guest_settings, text
from yamori.lab.layout import Layout
from yamori.lab.spec import GuestPlan, LabSpec, Virtualization
from yamori.lab.xen import tree
from yamori.lab.xen.machine import GUESTS_CPU

SLICES = "/dev/mapper"
"""Where every Xen host of a lab sees the disks of all their guests."""

_WEIGHT, _MOST_WEIGHT = 256, 65535
"""credit2's weight of a guest with 1024 shares, and the most that it takes (xl(1), sched-credit2)."""

_COMMAND_LINE = "console=hvc0 panic=-1 quiet mitigations=off"


def definition(spec: LabSpec, layout: Layout, plan: GuestPlan) -> str:
    """Domain XML: PV or PVH, disk from blkback over a slice of the array, one CPU shared with the other guests."""
    domain = ET.Element("domain", type="xen")
    add_identity(domain, plan)
    text(domain, "memory", str(spec.xen_guest_memory_mib), unit="MiB")
    text(domain, "currentMemory", str(spec.xen_guest_memory_mib), unit="MiB")
    text(domain, "vcpu", "1")
    # the attribute cpuset of vcpu is ignored by libvirt's Xen driver
    tuning = ET.SubElement(domain, "cputune")
    ET.SubElement(tuning, "vcpupin", vcpu="0", cpuset=str(GUESTS_CPU))
    text(tuning, "shares", str(min(_MOST_WEIGHT, max(1, plan.cpu_shares * _WEIGHT // 1024))))
    system = ET.SubElement(domain, "os")
    if plan.virtualization is Virtualization.PVH:
        text(system, "type", "xenpvh", arch="x86_64", machine="xenpvh")
    else:
        text(system, "type", "linux", arch="x86_64", machine="xenpv")
    text(system, "kernel", f"/{tree.GUEST_KERNEL}")
    text(system, "initrd", "/srv/guest/initrd.gz")
    text(system, "cmdline", f"{_COMMAND_LINE} {guest_settings(layout, plan, spec.xen_working_set_mib)}")
    text(domain, "on_reboot", "restart")
    text(domain, "on_crash", "destroy")
    devices = ET.SubElement(domain, "devices")
    disk = ET.SubElement(devices, "disk", type="block", device="disk")
    ET.SubElement(disk, "driver", name="phy")
    ET.SubElement(disk, "source", dev=f"{SLICES}/{plan.name}")
    ET.SubElement(disk, "target", dev="xvda", bus="xen")
    nic = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(nic, "mac", address=layout.guest_mac(plan.number))
    ET.SubElement(nic, "source", bridge="vmbr0")
    console = ET.SubElement(devices, "console", type="pty")
    ET.SubElement(console, "target", type="xen", port="0")
    return ET.tostring(domain, encoding="unicode")
