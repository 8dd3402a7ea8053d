"""When two limits are the same: hypervisors round, and what a hand has set must not be taken for rounding."""

from collections.abc import Mapping

from yamori.model.limits import LimitKind, allowance

RELATIVE = 0.02
ABSOLUTE: Mapping[LimitKind, float] = {
    LimitKind.CPU_CAP: 0.002,  # a quota has whole microseconds, per vCPU
    LimitKind.CPU_WEIGHT: 0.011,  # shares are whole numbers, as small as 1 in 100
    LimitKind.MEMORY: 2.0 * 2**20,  # balloons move by whole pages, some drivers by MiB
    LimitKind.DISK_IOPS: 1.0,
    LimitKind.DISK_BANDWIDTH: 1024.0,
    LimitKind.NET_IN: 2048.0,  # kilobytes per second
    LimitKind.NET_OUT: 2048.0,
}


def same(kind: LimitKind, one: float | None, other: float | None) -> bool:
    """Tell whether two limits differ by rounding only. None is unlimited."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= max(ABSOLUTE[kind], RELATIVE * max(abs(one), abs(other)))


def stricter(one: float | None, other: float | None) -> float | None:
    """Return the stricter of two limits: for every kind the smaller one."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def words(kind: LimitKind, value: float | None) -> str:
    """Say a limit."""
    return f"{kind} {allowance(kind, value)}"
