"""The steps that make the Xen hosts of a lab: their image, their place in it, their identities, their start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from yamori.lab import cgroup, network, pki, storage
from yamori.lab.cache import prune
from yamori.lab.initramfs import XEN_MODULES, initramfs
from yamori.lab.kernel import kernel
from yamori.lab.layout import STATE_ROOT, Layout
from yamori.lab.registry import Kind, Registry
from yamori.lab.spec import LabSpec
from yamori.lab.workshop import Workshop
from yamori.lab.xen import machine, settling, ssh
from yamori.lab.xen.host import FACT, XenHost
from yamori.lab.xen.image import image
from yamori.lab.xen.snapshot import snapshot


def prepare(registry: Registry, workshop: Workshop, *, progress: Callable[[str], None]) -> None:
    """Find or make all that is kept between labs, and record which of it this lab stands on."""
    made = image(workshop)
    registry.append(Kind.FACT, FACT, value={"image": str(made.folder)})
    progress("Xen snapshot")
    saved = snapshot(made, workshop)
    initrd = initramfs(kernel(), XEN_MODULES)
    known = {"image": str(made.folder), "snapshot": str(saved.folder), "initrd": str(initrd)}
    registry.append(Kind.FACT, FACT, value=known)
    for kind, kept in (("xen-image-", made.name), ("xen-snapshot-", saved.name)):
        prune(kind, keep={kept, *_in_use()})


def _in_use() -> set[str]:
    """Names in the cache on which any lab of this machine stands."""
    names = set()
    for path in STATE_ROOT.glob("*/registry.jsonl"):
        known = Registry(path).fact(FACT)
        names |= {Path(value).name for value in known.values()} if isinstance(known, dict) else set()
    return names


def make(
    spec: LabSpec, layout: Layout, registry: Registry, authority: pki.Authority, hosts: Sequence[XenHost]
) -> None:
    """Give every Xen host its namespace, certificates, keys and disk, and switch it on."""
    if not hosts:
        return
    storage.start_xen_array(spec, layout, registry, settling.array_guests(spec), image_bytes=machine.ARRAY_BYTES)
    client = ssh.write_client(layout.pki / "ssh")
    known_hosts = []
    for host in hosts:
        host.directory.mkdir(parents=True, exist_ok=True)
        pki.write_host(authority, host.directory / "pki", name=host.name, address=host.address, qemu_group=0)
        known_hosts.append(ssh.write_host(host.directory / "ssh", client, host.address))
        cgroup.make(registry, host.cgroup)
        network.connect_machine(layout, registry, host.name, user=storage.HYPERVISOR_USER)
    (layout.pki / "ssh" / "known_hosts").write_text("".join(known_hosts))
    for host in hosts:
        host.start()
