"""CPU limits as control groups have them: quota and period, shares. Pure arithmetic on what libvirt reports."""

import math
from collections.abc import Mapping

from yamori.model.errors import Conflict, Invalid

_LEAST_QUOTA_US = 1000
_LONGEST_PERIOD_US = 1_000_000
_USUAL_PERIOD_US = 100_000
_MOST_QUOTA_US = 17_592_186_044_415
UNLIMITED = -1

Scheduler = Mapping[str, int]


def cap_of(scheduler: Scheduler, vcpus: int) -> float | None:
    """Cores that the VM may use at most, None when unlimited.

    libvirt bounds each vCPU (``vcpu_quota``) and all of the VM together (``global_quota``); the stricter holds.
    """
    bounds = [
        bound for bound in (_cores(scheduler, "global", 1), _cores(scheduler, "vcpu", vcpus)) if bound is not None
    ]
    return min(bounds) if bounds else None


def settings_for_cap(cores: float | None, scheduler: Scheduler, vcpus: int) -> dict[str, int]:
    """Scheduler parameters that make ``cores`` the cap; None lifts it. What need not change is left out.

    The whole VM is bounded where libvirt can do that, so that emulation counts as well. Where somebody has set
    the per-vCPU bound alone, that one is used, so that undoing gives back exactly what was. Quotas are
    rounded to whole microseconds; the period grows (to 1 s) when the quota would fall under the least that
    the kernel takes, 1 ms. Raises Invalid below that, Conflict when a hand-set emulator bound is in the way.
    """
    per_vcpu, whole = _cores(scheduler, "vcpu", 1), _cores(scheduler, "global", 1)
    if cores is None:
        lifted = {f"{group}_quota": UNLIMITED for group in ("vcpu", "global") if f"{group}_quota" in scheduler}
        return {key: value for key, value in lifted.items() if scheduler[key] > 0}
    if "global_quota" not in scheduler or (per_vcpu is not None and whole is None):
        return _quota("vcpu", cores / vcpus, scheduler)
    for part in ("emulator", "iothread"):
        bound = _cores(scheduler, part, 1)
        if bound is not None and bound > cores and bound != whole:  # without such threads it mirrors the whole
            raise Conflict(f"{part}_quota was set by hand to {bound:g} cores, above the cap asked for")
    asked = _quota("global", cores, scheduler)
    if per_vcpu is None:
        return asked
    if per_vcpu > cores or per_vcpu * vcpus < cores:
        return {**_quota("vcpu", min(cores, max(per_vcpu, cores / vcpus)), scheduler), **asked}
    return asked


def shares_for(weight: float | None, of_one: int) -> int:
    """libvirt's cpu_shares for a weight, rounded, at least what the kernel takes (v1: 2, v2: 1)."""
    if weight is None:
        return of_one
    least, most = (2, 262_144) if of_one >= 1000 else (1, 10_000)
    shares = round(weight * of_one)
    if shares > most:
        raise Invalid(f"a CPU weight of {weight:g} is more than the kernel takes ({most / of_one:g})")
    return max(least, shares)


def _cores(scheduler: Scheduler, group: str, factor: int) -> float | None:
    quota, period = scheduler.get(f"{group}_quota", UNLIMITED), scheduler.get(f"{group}_period", 0)
    if quota <= 0 or period <= 0 or quota >= _MOST_QUOTA_US:
        return None
    return quota / period * factor


def _quota(group: str, cores: float, scheduler: Scheduler) -> dict[str, int]:
    period = scheduler.get(f"{group}_period", 0) or _USUAL_PERIOD_US
    quota = round(cores * period)
    asked: dict[str, int] = {}
    if quota < _LEAST_QUOTA_US:
        period = min(_LONGEST_PERIOD_US, math.ceil(_LEAST_QUOTA_US / cores))
        quota = round(cores * period)
        asked[f"{group}_period"] = period
    if quota < _LEAST_QUOTA_US:
        raise Invalid(f"a CPU cap of {cores:g} cores is below the least that the kernel takes")
    asked[f"{group}_quota"] = min(quota, _MOST_QUOTA_US - 1)
    return asked
