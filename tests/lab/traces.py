"""What a lab may leave behind, looked for without its record."""

import os
from pathlib import Path

from yamori.lab import network, slot
from yamori.lab.layout import CGROUP_ROOT, CONTROLLERS, STATE_ROOT, Layout


def traces(layout: Layout) -> list[str]:
    """Everything on this machine that bears the lab's names, found without its registry."""
    found = [str(path) for path in network.NETNS_ROOT.glob(f"yl{layout.slot}-*")]
    found += [str(path) for path in Path("/sys/class/net").glob(f"yl{layout.slot}*")]
    found += [name for name in CONTROLLERS if (CGROUP_ROOT / name / layout.cgroup).exists()]
    found += [
        str(path) for path in (layout.directory, STATE_ROOT / ".locks" / f"{layout.name}.lock") if path.exists()
    ]
    found += [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(layout.directory) in line
    ]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(layout.directory) + b"/" in command:
            found.append(f"{path}: {command!r}")
    if layout.name in slot.holders():
        found.append("slot")
    return found
