"""The files of dom0 as Debian's packages make them, packed; made once for each set of package versions."""

from __future__ import annotations

import re
from pathlib import Path

from yamori.lab.cache import kept, key_of
from yamori.lab.packages import candidates, depends
from yamori.lab.workshop import Workshop
from yamori.model.errors import Unsupported

_SYSTEM = "xen-system-amd64"
_HYPERVISOR = re.compile(r"xen-hypervisor-\d[\d.]*-amd64")
_TOOLS = re.compile(r"xen-utils-\d[\d.]*")

_PACKAGES = (
    "xen-utils-common", "xenstore-utils", "qemu-system-xen",
    "libvirt-daemon", "libvirt-daemon-driver-xen", "libvirt-daemon-config-nwfilter", "libvirt-clients",
    "dropbear-bin", "netcat-openbsd",
    "iproute2", "nftables", "bridge-utils", "iputils-ping", "tcpdump",
    "kmod", "mount", "procps", "util-linux", "dmsetup", "busybox-static",
    "python3", "python3-libvirt",
    "openssl", "passwd", "libcap2-bin",
)  # fmt: skip
"""Beside Xen's own tools: libvirtd with the Xen driver, what limits need, what runs and holds the host agent."""

_LEFT_OUT = ("man", "doc", "locale", "info")
_MMDEBSTRAP_SECONDS = 1800.0


def system_packages() -> tuple[str, str]:
    """The packages of the hypervisor and of its tools that the distribution's meta package now points to."""
    found = depends(_SYSTEM)
    hypervisor = [name for name in found if _HYPERVISOR.fullmatch(name)]
    tools = [name for name in found if _TOOLS.fullmatch(name)]
    if not hypervisor or not tools:
        raise Unsupported("lab", f"the package lists know no {_SYSTEM}; a Xen host needs Debian 12")
    return hypervisor[0], tools[0]


def rootfs(workshop: Workshop) -> Path:
    """Build, or find in the cache, the archive ``rootfs.tar.zst``; about 90 s for the first time."""
    _, tools = system_packages()
    names = [tools, *_PACKAGES]
    sources, codename = _sources()
    versions = [f"{name}={version}" for name, version in candidates(names).items()]
    key = key_of([codename.encode(), *(path.read_bytes() for path in sources), *map(str.encode, versions)])
    return (
        kept(f"xen-rootfs-{key}", lambda aside: _build(workshop, names, sources, codename, aside))
        / "rootfs.tar.zst"
    )


def _build(workshop: Workshop, names: list[str], sources: list[Path], codename: str, aside: Path) -> None:
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _LEFT_OUT]
    command = [
        "mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(names)}",
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"', *excluded,
        codename, str(aside / "rootfs.tar.zst"), *map(str, sources),
    ]  # fmt: skip
    workshop.run(command, timeout_seconds=_MMDEBSTRAP_SECONDS)


def _sources() -> tuple[list[Path], str]:
    """The machine's own package sources for its own release; other parties' are left out."""
    fields = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = fields.get("VERSION_CODENAME", "").strip('"')
    top = Path("/etc/apt")
    there = [*top.glob("sources.list"), *sorted(top.glob("sources.list.d/*.sources"))]
    there += sorted(top.glob("sources.list.d/*.list"))
    found = [path for path in there if codename and codename in path.read_text(errors="replace")]
    if fields.get("ID") != "debian" or not found:
        raise Unsupported("lab", "a Xen host is made of Debian packages, and this machine has no sources of them")
    return found, codename
