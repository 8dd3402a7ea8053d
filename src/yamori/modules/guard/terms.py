"""What a throttle must satisfy, and what of the limits read back is another hand's doing. Pure."""

from collections.abc import Mapping
from typing import Any

from yamori.manifest.module import Hold, Json
from yamori.model.actions import Throttle
from yamori.model.errors import Conflict, Invalid, NotPermitted
from yamori.model.limits import LimitKind, Limits
from yamori.model.sla import SLAClass
from yamori.model.vm import VM
from yamori.modules.guard.rounding import same, stricter, words

Values = Mapping[LimitKind, float | None]


def sound(action: Throttle) -> None:
    """Raise Invalid for a throttle that makes no sense."""
    if not action.limits:
        raise Invalid("a throttle must name at least one limit", subject=action.vm)
    for kind, value in action.limits.items():
        if not 0 < value < float("inf"):
            raise Invalid(f"{kind} must be a positive number, not {value}", subject=action.vm)
    if not 0 < action.expires_after_s < float("inf"):
        raise Invalid("a throttle must expire", subject=action.vm)


def allowed(action: Throttle, vm: VM, sla: SLAClass | None) -> None:
    """Raise NotPermitted for what the class of a VM does not allow."""
    if sla is None:
        return
    if not sla.throttleable:
        raise NotPermitted(f"class {sla.name} is never throttled", subject=action.vm, mend="migrate it instead")
    floors = {
        LimitKind.CPU_CAP: sla.floor_cpu_cores,
        LimitKind.MEMORY: sla.floor_memory_fraction * vm.memory_max_bytes,
        LimitKind.DISK_IOPS: sla.floor_disk_iops,
        LimitKind.DISK_BANDWIDTH: sla.floor_disk_bandwidth,
    }
    for kind, value in action.limits.items():
        floor = floors.get(kind, 0.0)
        if value < floor and not same(kind, value, floor):
            raise NotPermitted(
                f"class {sla.name} keeps at least {words(kind, floor)}, {words(kind, value)} is less",
                subject=action.vm,
            )


def untouched(hold: Hold, read: Limits) -> None:
    """Refuse when what holds is not what our throttle left."""
    expected = {k: (stricter(v, hold.before.get(k)),) for k, v in hold.asked.items()}
    changed = drift(read, expected)
    if changed:
        raise Conflict(f"changed by another hand: {', '.join(changed)}", subject=hold.vm)


def values(noted: Any) -> dict[LimitKind, float | None]:
    """Read limits from a note."""
    return {LimitKind(k): None if v is None else float(v) for k, v in dict(noted).items()}


def plain(limits: Values) -> Json:
    """Write limits as plain JSON."""
    return {kind.value: value for kind, value in limits.items()}


def drift(read: Limits, expected: Mapping[LimitKind, tuple[float | None, ...]]) -> list[str]:
    """Return, in words, the limits that are none of those that we or our predecessors left."""
    return [
        words(kind, read.values[kind])
        for kind, several in expected.items()
        if kind in read.values and not any(same(kind, read.values[kind], v) for v in several)
    ]
