"""CPU and memory bounds in the server's words (ResourceAllocationInfo): MHz, MB, shares. Arithmetic, no calls."""

from typing import Any

from pyVmomi import vim

from yamori.drivers.vsphere.collector import whole
from yamori.drivers.vsphere.translate import MIB
from yamori.model.errors import Conflict, Invalid, Unsupported

SHARES_PER_VCPU = 1000
"""CPU shares of an ordinary VM for each vCPU (level ``normal``; ``low`` has half, ``high`` twice as many)."""
_LEVELS = {"low": 0.5, "normal": 1.0, "high": 2.0}
_MOST_SHARES = 1_000_000
_MOST = (1 << 31) - 1
_LEAST_MEMORY_MIB = 16
UNLIMITED = -1


def cap_of(allocation: Any, mhz: int | None) -> float | None:
    """Cores that the VM may use at most. Raises Unsupported when the server does not tell."""
    limit = _limit(allocation, "limits.cpu_cap")
    if limit == UNLIMITED:
        return None
    if not mhz:
        raise Unsupported("limits.cpu_cap", "the host's clock rate is not told, so MHz cannot be told in cores")
    return limit / mhz


def weight_of(allocation: Any, vcpus: int | None) -> float | None:
    """Share under contention, None for that of an ordinary VM. Raises Unsupported when it is not told."""
    shares = getattr(allocation, "shares", None)
    level = str(getattr(shares, "level", None))
    if level in _LEVELS:
        weight = _LEVELS[level]
    else:
        told = whole(getattr(shares, "shares", None))
        if not told or told < 0 or not vcpus:
            raise Unsupported("limits.cpu_weight", "the server does not tell the VM's shares")
        weight = told / (SHARES_PER_VCPU * vcpus)
    return None if weight == 1.0 else weight


def memory_of(allocation: Any, configured: int) -> float | None:
    """Bytes that the VM may use, None when it may use all that it was given. Raises Unsupported."""
    limit = _limit(allocation, "limits.memory")
    return None if limit == UNLIMITED or limit * MIB >= configured else float(limit * MIB)


def with_cap(allocation: Any, cores: float | None, mhz: int | None) -> Any:
    """The allocation with another cap. Raises Unsupported, Invalid, Conflict below the reservation."""
    limit = UNLIMITED
    if cores is not None:
        if not mhz:
            raise Unsupported("limits.cpu_cap", "the host's clock rate is not told: cores cannot be put in MHz")
        limit = round(min(cores * mhz, _MOST + 1.0))
        if not 1 <= limit <= _MOST:
            raise Invalid(f"a CPU cap of {cores:g} cores is beyond what the server takes")
        _above_reservation(allocation, limit, "MHz of CPU")
    return _changed(allocation, limit=limit)


def with_weight(allocation: Any, weight: float | None, vcpus: int | None) -> Any:
    """The allocation with other shares. Raises Unsupported, Invalid."""
    if not vcpus:
        raise Unsupported("limits.cpu_weight", "the server does not tell how many vCPUs the VM has")
    if weight is None or weight == 1.0:
        shares = vim.SharesInfo(level="normal", shares=SHARES_PER_VCPU * vcpus)
    else:
        number = round(min(weight * SHARES_PER_VCPU * vcpus, _MOST_SHARES + 1.0))
        if not 1 <= number <= _MOST_SHARES:
            raise Invalid(f"a CPU weight of {weight:g} is beyond what the server takes")
        shares = vim.SharesInfo(level="custom", shares=number)
    return _changed(allocation, shares=shares)


def with_memory(allocation: Any, value: float | None, configured: int) -> Any:
    """The allocation with another bound; whole MiB, never more than asked. Raises Invalid, Conflict."""
    limit = UNLIMITED
    if value is not None:
        if not _LEAST_MEMORY_MIB * MIB <= value <= configured:
            raise Invalid(
                f"{value:.0f} B of memory: from {_LEAST_MEMORY_MIB * MIB} B to the VM's {configured} B make sense"
            )
        limit = int(value) // MIB
        _above_reservation(allocation, limit, "MB of memory")
    return _changed(allocation, limit=limit)


def same(one: Any, other: Any) -> bool:
    """Whether two allocations say the same."""
    return _words(one) == _words(other)


def _limit(allocation: Any, feature: str) -> int:
    limit = whole(getattr(allocation, "limit", None))
    if limit is None or limit < UNLIMITED:
        raise Unsupported(feature, "the server does not tell the limit")
    return limit


def _above_reservation(allocation: Any, limit: int, unit: str) -> None:
    reserved = whole(getattr(allocation, "reservation", None)) or 0
    if limit < reserved:
        raise Conflict(
            f"{reserved} {unit} are reserved for the VM, a limit of {limit} would be below that",
            mend="lower the reservation first",
        )


def _changed(allocation: Any, *, limit: int | None = None, shares: Any = None) -> Any:
    """All of an allocation: a server may take what is not named for unset."""
    expandable = getattr(allocation, "expandableReservation", None)
    return vim.ResourceAllocationInfo(
        reservation=whole(getattr(allocation, "reservation", None)),
        expandableReservation=expandable if isinstance(expandable, bool) else None,
        limit=whole(getattr(allocation, "limit", None)) if limit is None else limit,
        shares=getattr(allocation, "shares", None) if shares is None else shares,
    )


def _words(allocation: Any) -> tuple[Any, ...]:
    shares = getattr(allocation, "shares", None)
    level = str(getattr(shares, "level", None))
    return (
        getattr(allocation, "limit", None),
        level,
        getattr(shares, "shares", None) if level == "custom" else None,
    )
