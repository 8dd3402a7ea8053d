"""The steps that make a lab, in order; each records what it is about to make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from yamori.lab import acceleration, cgroup, guest, hostfiles, network, pki, storage
from yamori.lab.clearing import boot_id
from yamori.lab.host import Host
from yamori.lab.initramfs import initramfs
from yamori.lab.kernel import kernel
from yamori.lab.layout import Layout
from yamori.lab.processes import ProcessId
from yamori.lab.registry import Kind, Registry
from yamori.lab.spec import LabSpec
from yamori.model.errors import Interrupted

_LAB_SHARES = 8192
"""CPU weight of the lab against everything else on the machine, so that other work is not the noise we seek."""
_SECONDS_FOR_ALL = 60.0
_SECONDS_A_GUEST = 30.0


def build(
    spec: LabSpec,
    layout: Layout,
    registry: Registry,
    hosts: Sequence[Host],
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
    step("guest image")
    image = kernel()
    initrd = initramfs(image)
    step("acceleration")
    domain_type = acceleration.domain_type(spec.accelerator, image.image, initrd)
    registry.append(Kind.FACT, "domain_type", value=domain_type)
    step(f"hosts ({domain_type})")
    _make_hosts(spec, layout, registry, hosts, domain_type)
    for host in hosts:
        host.wait_ready()
        step(f"{host.name} answers at {host.uri}")
    guest.start_all(spec, layout, hosts, domain_type=domain_type, kernel=image.image, initrd=initrd, progress=step)
    plans = spec.guests()
    allowed = _SECONDS_FOR_ALL + _SECONDS_A_GUEST * len(plans)
    guest.wait_serving(layout, plans, timeout_seconds=allowed, progress=step, check=check)
    for host in hosts:
        guests = sum(plan.host == host.name for plan in plans)
        if guests > 1 or spec.host_memory_mib is not None:
            used = host.memory_used_mib()
            budget = spec.host_memory_mib or used * spec.memory_packing_percent // 100
            host.set_memory_budget(budget)
            registry.append(Kind.FACT, f"memory {host.name}", value={"used_mib": used, "budget_mib": budget})
            step(f"{host.name}: its guests used {used} MiB and are held to {budget} MiB")
    registry.append(Kind.STATE, "up")


def _make_hosts(
    spec: LabSpec, layout: Layout, registry: Registry, hosts: Sequence[Host], domain_type: str
) -> None:
    authority = pki.Authority(spec.name)
    pki.write_client(authority, layout.client_pki)
    for host in hosts:
        hostfiles.write(spec, layout, authority, host.name, host.address, domain_type=domain_type)
    cgroup.make(registry, layout.cgroup, cpu_shares=_LAB_SHARES)
    cgroup.make(registry, f"{layout.cgroup}/arrays")
    network.make_switch(layout, registry)
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
