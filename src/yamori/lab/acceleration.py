"""Whether guests may use KVM: only a probe guest that really boots with it is a proof.

A machine can offer /dev/kvm, create VMs and list KVM in its capabilities, and still hang every guest.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from pathlib import Path

from yamori.lab.cache import key_of
from yamori.lab.command import run
from yamori.lab.layout import CACHE_ROOT
from yamori.lab.spec import Accelerator
from yamori.model.errors import Unsupported

_DEVICE = Path("/dev/kvm")
_PROBE_SECONDS = 15.0
READY = b"LAB-GUEST-READY"


def domain_type(wanted: Accelerator, kernel: Path, initrd: Path) -> str:
    """``kvm`` or ``qemu`` for the domain XML; raises Unsupported when KVM is demanded and does not boot."""
    if wanted is Accelerator.TCG:
        return "qemu"
    works = _kvm_works(kernel, initrd)
    if wanted is Accelerator.KVM and not works:
        raise Unsupported("lab", "a probe guest did not boot with KVM on this machine")
    return "kvm" if works else "qemu"


def _kvm_works(kernel: Path, initrd: Path) -> bool:
    """The remembered verdict of this boot and these versions, or a new probe."""
    if not _DEVICE.exists():
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    version = run(["qemu-system-x86_64", "--version"]).encode()
    key = key_of([boot, version, str(kernel).encode(), str(initrd).encode()])
    memory = CACHE_ROOT / "kvm-probe.json"
    try:
        remembered = json.loads(memory.read_text())
    except (FileNotFoundError, ValueError):
        remembered = {}
    if isinstance(remembered, dict) and remembered.get("key") == key:
        return remembered.get("boots") is True
    boots = _boot(kernel, initrd)
    aside = memory.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps({"key": key, "boots": boots}))
    aside.replace(memory)
    return boots


def _boot(kernel: Path, initrd: Path) -> bool:
    """Boot a guest with KVM and wait a limited time for its sign of life on the serial console."""
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", "pc", "-accel", "kvm", "-cpu", "host", "-m", "128", "-serial", "stdio",
        "-kernel", str(kernel), "-initrd", str(initrd),
        "-append", "console=ttyS0 panic=-1 quiet no_timer_check",
    ]  # fmt: skip
    probe = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        return probe.stdout is not None and _says_ready(probe.stdout.fileno())
    finally:
        probe.kill()
        probe.communicate()


def _says_ready(handle: int) -> bool:
    deadline, untrusted_output = time.monotonic() + _PROBE_SECONDS, b""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                return False
            chunk = os.read(handle, 4096)
            if not chunk:
                return False
            untrusted_output = (untrusted_output + chunk)[-65536:]
            if READY in untrusted_output:
                return True
    return False
