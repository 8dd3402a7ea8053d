"""Files of one lab host: libvirtd's and QEMU's configuration, folders, /etc overlay, local storage pool."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from importlib.resources import files
from pathlib import Path

from yamori.lab import pki
from yamori.lab.domain import LOCAL_DISKS
from yamori.lab.layout import CONTROLLERS, TLS_PORT, Layout
from yamori.lab.spec import LabSpec, Storage
from yamori.lab.storage import hypervisor_ids, write_local_disk

_FILTERS = Path("/etc/libvirt/nwfilter")
_DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "net/tun", "fuse", "userfaultfd", "vhost-net"]
"""Devices of a host, as far as the machine has them. A /dev/kvm that boots no guest must not be among them:
libvirt would find it when it probes QEMU as root and not when it asks for QEMU's own user, hold its cached
capabilities for outdated, and probe anew for seconds at every start of a guest."""


def write(
    spec: LabSpec, layout: Layout, authority: pki.Authority, host: str, address: str, *, domain_type: str
) -> None:
    """Write everything that the host needs before its PID 1 starts."""
    top = layout.host_directory(host)
    for name in ("libvirt", "upper", "work", "varlib", "log", "log/qemu", "cache", "store"):
        (top / name).mkdir(parents=True, exist_ok=True)
    _, group = hypervisor_ids()
    pki.write_host(authority, top / "upper" / "pki", name=host, address=address, qemu_group=group)
    (top / "upper" / "hosts").write_text(names_of_hosts(spec, layout))
    (top / "upper" / "hostname").write_text(host + "\n")
    (top / "libvirt" / "libvirtd.conf").write_text(libvirtd_configuration(spec, address, str(uuid.uuid4())))
    (top / "libvirt" / "qemu.conf").write_text(_QEMU)
    if _FILTERS.is_dir():
        shutil.copytree(_FILTERS, top / "libvirt" / "nwfilter", dirs_exist_ok=True)
    _local_pool(top / "libvirt" / "storage")
    for guest in spec.guests():
        if guest.host == host and guest.storage is Storage.LOCAL:
            write_local_disk(top / "store" / f"{guest.name}.img", guest.name, spec.disk_mib)
    (top / "plan.json").write_text(json.dumps(_plan(layout, host, kvm=domain_type == "kvm"), indent=2))


def init_command(layout: Layout, host: str) -> list[str]:
    """The command that becomes the host: enter its network, make all other namespaces, run PID 1 in them."""
    script = str(files("yamori.lab") / "hostinit.py")
    return [
        "nsenter",
        f"--net=/run/netns/{layout.host_namespace(host)}",
        "unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child",
        sys.executable, "-I", "-S", script, str(layout.host_directory(host) / "plan.json"),
    ]  # fmt: skip


def _plan(layout: Layout, host: str, *, kvm: bool) -> dict[str, object]:
    top = layout.host_directory(host)
    return {
        "hostname": host,
        "controllers": CONTROLLERS,
        "devices": [*_DEVICES, "kvm"] if kvm else _DEVICES,
        "etc": f"lowerdir=/etc,upperdir={top}/upper,workdir={top}/work",
        "binds": [
            [str(top / "libvirt"), "/etc/libvirt"],
            [str(top / "varlib"), "/var/lib/libvirt"],
            [str(top / "log"), "/var/log/libvirt"],
            [str(top / "cache"), "/var/cache/libvirt"],
            [str(top / "store"), str(LOCAL_DISKS)],
        ],
        "pager": {"folder": "/var/lib/libvirt/qemu/ram", "budget": "/sys/fs/cgroup/memory/machine"},
        "daemon": ["/usr/sbin/libvirtd", "--listen"],
    }


def names_of_hosts(spec: LabSpec, layout: Layout) -> str:
    """The file hosts(5): every host of the lab by its name."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{layout.host_address(index)} {name}" for index, name in enumerate(spec.all_host_names())]
    return "\n".join(lines) + "\n"


def libvirtd_configuration(spec: LabSpec, address: str, host_uuid: str) -> str:
    """libvirtd.conf of a host: TLS only, and only for the driver and the lab's other hosts."""
    names = ", ".join(f'"{name}"' for name in pki.allowed_names(spec.all_host_names()))
    return f"""listen_tls = 1
listen_tcp = 0
listen_addr = "{address}"
tls_port = "{TLS_PORT}"
auth_tls = "none"
tls_allowed_dn_list = [{names}]
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{host_uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
max_clients = 400
max_anonymous_clients = 100
"""


_QEMU = """stdio_handler = "file"
default_tls_x509_cert_dir = "/etc/pki/qemu"
default_tls_x509_verify = 1
migrate_tls_x509_verify = 1
migration_port_min = 49152
migration_port_max = 49215
"""


def _local_pool(folder: Path) -> None:
    """A pool over the local disks lets the target of a copying migration make the disk by itself."""
    path = str(LOCAL_DISKS)
    text = f"<pool type='dir'><name>local</name><target><path>{path}</path></target></pool>\n"
    (folder / "autostart").mkdir(parents=True, exist_ok=True)
    (folder / "local.xml").write_text(text)
    link = folder / "autostart" / "local.xml"
    if not link.is_symlink():
        link.symlink_to("/etc/libvirt/storage/local.xml")
