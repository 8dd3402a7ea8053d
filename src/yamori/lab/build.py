"""The steps that make a lab, in order; each records what it is about to make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from yamori.lab import acceleration, cgroup, guest, hostfiles, network, pki, storage
from yamori.lab.clearing import boot_id
from yamori.lab.host import Host
from yamori.lab.initramfs import initramfs
from yamori.lab.kernel import kernel
from yamori.lab.layout import Layout
from yamori.lab.processes import ProcessId
from yamori.lab.registry import Kind, Registry
from yamori.lab.spec import LabSpec
from yamori.lab.vsphere import VCenter
from yamori.lab.workshop import Workshop
from yamori.lab.xen import guests as xen_guests
from yamori.lab.xen import hosts as xen
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Interrupted

_LAB_SHARES = 8192
"""CPU weight of the lab against everything else on the machine, so that other work is not the noise we seek."""
_SECONDS_FOR_ALL = 60.0
_SECONDS_A_GUEST = 30.0
_SECONDS_A_XEN_GUEST = 90.0


def build(
    spec: LabSpec,
    layout: Layout,
    registry: Registry,
    hosts: Sequence[Host | XenHost],
    vcenter: VCenter | None,
    *,
    progress: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Make everything; the caller clears after an error. Raises Interrupted once ``stop`` is set."""

    def check() -> None:
        if stop.is_set():
            raise Interrupted(f"making lab {spec.name} was cancelled")

    def step(text: str) -> None:
        check()
        progress(text)

    _begin(spec, layout, registry)
    ordinary = [host for host in hosts if isinstance(host, Host)]
    emulated = [host for host in hosts if isinstance(host, XenHost)]
    workshop = Workshop(layout, registry, check=check)
    workshop.open()
    step("guest image")
    image = kernel()
    initrd = initramfs(image)
    if emulated:
        step("Xen image")
        xen.prepare(registry, workshop, progress=step)
    domain_type = "qemu"
    if ordinary:
        step("acceleration")
        domain_type = acceleration.domain_type(spec.accelerator, image.image, initrd)
    registry.append(Kind.FACT, "domain_type", value=domain_type)
    step(f"hosts ({domain_type})")
    authority = pki.Authority(spec.name)
    pki.write_client(authority, layout.client_pki)
    network.make_switch(layout, registry)
    xen.make(spec, layout, registry, authority, emulated)
    _make_hosts(spec, layout, registry, authority, ordinary, domain_type)
    if vcenter is not None:
        network.add_vcenter(layout)
        vcenter.write(authority)
        vcenter.start()
        step(f"vcenter answers at {vcenter.address}")
    for host in hosts:
        host.wait_ready()
        step(f"{host.name} answers at {host.uri}")
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-xen") as beside:
        on_xen = beside.submit(xen_guests.start_all, spec, layout, emulated, progress=step)
        if ordinary:
            guest.start_all(
                spec, layout, ordinary, domain_type=domain_type, kernel=image.image, initrd=initrd, progress=step
            )
        on_xen.result()
    plans = spec.guests()
    several = sum(plan.host in spec.xen_host_names() for plan in plans)
    allowed = _SECONDS_FOR_ALL + _SECONDS_A_GUEST * (len(plans) - several) + _SECONDS_A_XEN_GUEST * several
    guest.wait_serving(layout, plans, timeout_seconds=allowed, progress=step, check=check)
    for host in emulated:
        host.keep_dom0_apart()
    _hold_memory(spec, registry, ordinary, step)
    registry.append(Kind.STATE, "up")


def _begin(spec: LabSpec, layout: Layout, registry: Registry) -> None:
    """Check the machine, open the record, make the lab's control group."""
    cgroup.check_hierarchies()
    storage.hypervisor_ids()
    registry.create()
    owner = ProcessId.own()
    registry.append(
        Kind.LAB,
        spec.name,
        slot=layout.slot,
        spec=spec.as_record(),
        owner=f"{owner.pid}:{owner.started}",
        boot=boot_id(),
    )
    cgroup.make(registry, layout.cgroup, cpu_shares=_LAB_SHARES)
    cgroup.make(registry, f"{layout.cgroup}/arrays")


def _make_hosts(
    spec: LabSpec,
    layout: Layout,
    registry: Registry,
    authority: pki.Authority,
    hosts: Sequence[Host],
    domain_type: str,
) -> None:
    for host in hosts:
        hostfiles.write(spec, layout, authority, host.name, host.address, domain_type=domain_type)
    cores = cgroup.available_cores()
    for index, host in enumerate(hosts):
        # labs side by side begin at different cores
        first = (layout.slot - 1 + index) * spec.host_cpus
        own = [cores[number % len(cores)] for number in range(first, first + spec.host_cpus)]
        cgroup.make(registry, host.cgroup, cores=sorted(set(own)))
        cgroup.make(registry, f"{host.cgroup}/machine", cores=sorted(set(own)))
        network.connect_host(layout, registry, host.name, host.address)
        storage.start_array(spec, layout, registry, host.name)
        host.start()


def _hold_memory(spec: LabSpec, registry: Registry, hosts: Sequence[Host], step: Callable[[str], None]) -> None:
    """Give the guests of each host together less memory than they took to boot."""
    for host in hosts:
        guests = sum(plan.host == host.name for plan in spec.guests())
        if guests > 1 or spec.host_memory_mib is not None:
            used = host.memory_used_mib()
            budget = spec.host_memory_mib or used * spec.memory_packing_percent // 100
            host.set_memory_budget(budget)
            registry.append(Kind.FACT, f"memory {host.name}", value={"used_mib": used, "budget_mib": budget})
            step(f"{host.name}: its guests used {used} MiB and are held to {budget} MiB")
