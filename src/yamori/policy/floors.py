"""What a throttle must leave to its VM: the class's floor or the rule's, whichever is higher."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from yamori.model.actions import Throttle
from yamori.model.limits import LimitKind, allowance
from yamori.model.sla import SLAClass
from yamori.policy.classes import Floors
from yamori.policy.facts import Facts

_UNCLASSED = SLAClass(name="unclassed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floored:
    """A throttle that leaves enough; ``note`` says what was raised, empty when nothing was."""

    action: Throttle
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLow:
    """No throttle of this VM is permitted."""

    rule: str
    why: str


def raise_to_floors(action: Throttle, facts: Facts, floors: Floors | None) -> Floored | TooLow:
    """Make a throttle milder where it goes below a floor; a VM that may not be throttled gets TooLow."""
    sla = facts.sla or _UNCLASSED
    if not sla.throttleable:
        return TooLow(rule=f"sla:{sla.name}", why=f"VMs of class {sla.name} are never throttled")
    least = _least(sla, floors or Floors(), None if facts.vm is None else facts.vm.memory_max_bytes)
    if LimitKind.MEMORY in action.limits and LimitKind.MEMORY not in least:
        return TooLow(rule="sla:memory", why="the VM's memory is not known, so its floor is not either")
    raised = {kind: max(value, least.get(kind, 0.0)) for kind, value in action.limits.items()}
    notes = [
        f"{kind} raised to its floor {allowance(kind, raised[kind])}"
        for kind, value in action.limits.items()
        if raised[kind] != value
    ]
    if not notes:
        return Floored(action=action, note="")
    return Floored(action=dataclasses.replace(action, limits=raised), note="; ".join(notes))


def _least(sla: SLAClass, floors: Floors, memory_bytes: int | None) -> dict[LimitKind, float]:
    """Return the floors in units; memory's counts from the most that the VM may have, not from what it has."""
    least = {
        LimitKind.CPU_CAP: max(sla.floor_cpu_cores, floors.cpu or 0.0),
        LimitKind.DISK_IOPS: max(sla.floor_disk_iops, floors.disk_iops or 0.0),
        LimitKind.DISK_BANDWIDTH: max(sla.floor_disk_bandwidth, floors.disk_bandwidth or 0.0),
        LimitKind.NET_IN: floors.net or 0.0,
        LimitKind.NET_OUT: floors.net or 0.0,
    }
    if memory_bytes is not None:
        least[LimitKind.MEMORY] = float(memory_bytes) * max(sla.floor_memory_fraction, floors.memory or 0.0)
    return least
