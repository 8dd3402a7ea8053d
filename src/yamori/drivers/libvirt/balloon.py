"""Memory that a VM may use: the guest is asked for the rest, and where the host can page, it is also held to it.

A guest need not give memory back when its balloon asks. Where the VM's memory lies in a file, the kernel can
page it out (memtune's hard_limit, memory.limit_in_bytes or memory.max of the VM's control group), so the bound
holds at once whatever the guest does. Without such a file it must not be set: a host without swap space would
kill the VM instead.
"""

from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from yamori.drivers.libvirt.translate import Definition
from yamori.model.errors import Invalid, Unsupported
from yamori.model.limits import LimitKind

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_UNBOUNDED_KIB = 9_007_199_254_740_991
"""VIR_DOMAIN_MEMORY_PARAM_UNLIMITED of libvirt.h, which libvirt-python does not carry."""
_LEAST = 64 << 20
"""Bytes. QEMU itself needs about so much; below it the VM would only page."""
_HELD_KIB = 2
"""Index of the memory that the VM holds in what virDomainGetInfo tells."""
_OWN = 8 << 20
"""Bytes that a guest may hold beside what its balloon counts: 4.1 MiB for PVH on Xen 4.17, none for PV."""


def read(found: Definition) -> float | None:
    """Return what holds, bytes: the balloon as far as the guest has followed, or the host's bound if stricter."""
    holding = [found.memory_bytes] if found.memory_bytes < found.memory_max_bytes else []
    if found.bound_bytes is not None and found.bound_bytes < found.memory_max_bytes:
        holding.append(found.bound_bytes)
    return float(min(holding)) if holding else None


def read_from_hypervisor(handle: Any, found: Definition) -> float | None:
    """The same where no event tells libvirt's definition of the guest's progress (Xen), bytes.

    The definition tells the target that was set through libvirt. What the guest holds is shown as long as it is
    well above that, and when it is well below all of the VM's memory although no target says so: then another
    hand has set one.
    """
    holds = min(int(handle.info()[_HELD_KIB]) * 1024, found.memory_max_bytes)
    target = found.memory_bytes
    if target < found.memory_max_bytes:
        return float(target if holds <= target + _OWN else holds)
    return float(holds) if holds < found.memory_max_bytes - _OWN else None


def plan(
    handle: Any, found: Definition, limits: Mapping[LimitKind, float | None], *, least: int = _LEAST
) -> list[Callable[[], object]]:
    """Return the calls that set the limit. Raises Unsupported, Invalid (below ``least`` bytes) before anything

    is changed.
    """
    if LimitKind.MEMORY not in limits:
        return []
    value = limits[LimitKind.MEMORY]
    if not found.balloon and not found.pageable:
        raise Unsupported(
            "limits.memory", "the VM has no balloon and its memory cannot be paged", subject=found.id
        )
    asked = found.memory_max_bytes if value is None else int(value)
    if not least <= asked <= found.memory_max_bytes:
        raise Invalid(
            f"{asked} B of memory: from {least} B to the VM's {found.memory_max_bytes} B make sense",
            subject=found.id,
        )
    calls: list[Callable[[], object]] = []
    if found.balloon:
        calls.append(lambda: handle.setMemoryFlags(asked // 1024, _LIVE))
    bound = _UNBOUNDED_KIB if value is None else asked // 1024
    if found.pageable and (value is not None or _binds(found)):
        calls.append(lambda: handle.setMemoryParameters({"hard_limit": bound}, _LIVE))
    return calls


def _binds(found: Definition) -> bool:
    return found.bound_bytes is not None and found.bound_bytes < found.memory_max_bytes
