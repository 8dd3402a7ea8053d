"""What makes Debian's files a dom0 of the lab: our init, fast hotplug scripts, repairs, Yamori's dependencies."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from yamori.lab.xen import dependencies
from yamori.model.errors import Failed

OWN = "usr/lib/yamori-lab"
"""Where our scripts are in dom0."""
GUEST_KERNEL = "srv/guest/vmlinux"
DEPENDENCIES = "opt/yamori/deps"
SOURCE = "opt/yamori/src"

_DATA = files("yamori.lab.xen") / "dom0"
_SCRIPTS = {
    "init": f"{OWN}/init",
    "control.py": f"{OWN}/control.py",
    "settle": f"{OWN}/settle",
    "vif-bridge": "etc/xen/scripts/vif-bridge",
    "block": "etc/xen/scripts/block",
}
_LAUNCHER = "#!/usr/bin/python3\nfrom yamori.cli.main import main\n\nmain()\n"


def recipe() -> list[bytes]:
    """All that is written here, for the image's key."""
    return [(_DATA / name).read_bytes() for name in (*_SCRIPTS, "initrd")] + [Path(__file__).read_bytes()]


def adapt(root: Path, guest_kernel: Path) -> None:
    """Change the unpacked files of dom0 in place."""
    for name, target in _SCRIPTS.items():
        _write(root / target, (_DATA / name).read_bytes(), mode=0o755)
    _repair(root)
    for folder in ("var/log/libvirt", "var/log/xen", "var/lib/xen", "etc/dropbear", "srv/guest", "sys/fs/cgroup"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write(root / GUEST_KERNEL, guest_kernel.read_bytes())
    dependencies.copy(root / DEPENDENCIES)
    paths = f"/{SOURCE}\n/{DEPENDENCIES}\n"
    _write(root / "usr/lib/python3/dist-packages/yamori-lab.pth", paths.encode())
    _write(root / "usr/local/bin/yamori", _LAUNCHER.encode(), mode=0o755)


def _repair(root: Path) -> None:
    """Take away what keeps libvirtd's Xen driver from starting in an emulated machine.

    Its QEMU driver wants a user that only libvirt-daemon-system makes. And Xen hides SEP on AMD while QEMU's
    emulation has no VME, so that no model of libvirt's CPU map would fit and its Xen driver would give up.
    """
    for driver in root.glob("usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so"):
        driver.unlink()
    oldest = root / "usr/share/libvirt/cpu_map/x86_486.xml"
    text, count = re.subn(r"^.*name='vme'.*\n", "", oldest.read_text(), flags=re.MULTILINE)
    if count != 1:
        raise Failed(
            "libvirt's CPU map has changed", mend="see whether its Xen driver now starts without this repair"
        )
    oldest.write_text(text)


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
