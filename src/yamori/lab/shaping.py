"""What this machine's kernel lacks for libvirt's network limits: their tc calls need parts that may be absent."""

from __future__ import annotations

import gzip
from pathlib import Path

CONFIG = Path("/proc/config.gz")
NEEDED = {"CONFIG_NET_SCH_SFQ": "sch_sfq", "CONFIG_NET_CLS_FW": "cls_fw", "CONFIG_NET_ACT_POLICE": "act_police"}
"""What libvirt's virNetDevBandwidthSet asks tc for, beside htb: option of the kernel's build and module's name."""


def missing(config: Path = CONFIG) -> tuple[str, ...]:
    """Return the missing modules; nothing when the kernel does not tell how it was built."""
    try:
        lines = gzip.decompress(config.read_bytes()).decode("ascii", "replace").splitlines()
    except OSError:
        return ()
    built = {line.partition("=")[0] for line in lines if line.endswith(("=y", "=m"))}
    return tuple(module for option, module in NEEDED.items() if option not in built)


def without() -> dict[str, str]:
    """Return the features that libvirt hosts on this kernel do not have, each with the reason."""
    lacking = missing()
    if not lacking:
        return {}
    reason = f"the host's kernel is built without {', '.join(lacking)}, which libvirt's bandwidth limits need"
    return {"limits.net_in": reason, "limits.net_out": reason}
