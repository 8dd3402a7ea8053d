"""One VM's statistics, as libvirt names them, to one row of columns. Pure; what is missing or absurd is NaN."""

import math
from collections.abc import Mapping
from typing import Any

from yamori.capabilities.sensing.usage import Column

_NAN = math.nan
_MOST_DEVICES = 1024
_MOST = float(1 << 63)
_RUNNING = frozenset({1, 2, 4})  # running, blocked, being shut down: each executes
_KIB = 1024.0
_NS = 1e-9

_DISK = (
    ("rd.reqs", Column.DISK_READ_OPS, 1.0),
    ("wr.reqs", Column.DISK_WRITE_OPS, 1.0),
    ("rd.bytes", Column.DISK_READ_BYTES, 1.0),
    ("wr.bytes", Column.DISK_WRITE_BYTES, 1.0),
    ("rd.times", Column.DISK_READ_TIME, _NS),
    ("wr.times", Column.DISK_WRITE_TIME, _NS),
)
_NET = (
    ("rx.bytes", Column.NET_RX_BYTES, 1.0),
    ("tx.bytes", Column.NET_TX_BYTES, 1.0),
    ("rx.pkts", Column.NET_RX_PACKETS, 1.0),
    ("tx.pkts", Column.NET_TX_PACKETS, 1.0),
    ("rx.drop", Column.NET_RX_DROPS, 1.0),
    ("tx.drop", Column.NET_TX_DROPS, 1.0),
)


def row(stats: Mapping[str, Any]) -> list[float]:
    """Return one value for each Column (source: libvirt, virConnectGetAllDomainStats).

    Sums over disks, cards and vCPUs are NaN as soon as one part is missing: a smaller number would be a lie.
    A VM without any card has sent nothing: 0, which is known.
    """
    values = [_NAN] * len(Column)
    told = stats.get("state.state")
    if isinstance(told, int):
        values[Column.RUNNING] = 1.0 if told in _RUNNING else 0.0
    values[Column.VCPUS] = _value(stats, "vcpu.current")
    values[Column.CPU_TIME] = _value(stats, "cpu.time") * _NS
    values[Column.CPU_DELAY] = _delay(stats)
    values[Column.MEMORY_ASSIGNED] = _value(stats, "balloon.current") * _KIB
    values[Column.MEMORY_RESIDENT] = _value(stats, "balloon.rss") * _KIB
    untrusted_usable = _value(stats, "balloon.usable") * _KIB
    most = _value(stats, "balloon.maximum") * _KIB
    values[Column.MEMORY_USABLE] = untrusted_usable if untrusted_usable <= most else _NAN
    values[Column.MEMORY_FAULTS] = _value(stats, "balloon.major_fault")
    _sum(stats, "block", _DISK, values)
    _sum(stats, "net", _NET, values)
    return values


def _value(stats: Mapping[str, Any], key: str) -> float:
    found = stats.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _MOST:
        return _NAN
    return float(found)


def _delay(stats: Mapping[str, Any]) -> float:
    """Sum what the vCPUs waited; vCPUs that are off have no entry."""
    total, seen = 0.0, 0
    most = _value(stats, "vcpu.maximum")
    for number in range(0 if math.isnan(most) else min(int(most), _MOST_DEVICES)):
        if f"vcpu.{number}.state" in stats:
            total += _value(stats, f"vcpu.{number}.delay")
            seen += 1
    return total * _NS if seen else _NAN


def _sum(
    stats: Mapping[str, Any], group: str, fields: tuple[tuple[str, Column, float], ...], values: list[float]
) -> None:
    count = _value(stats, f"{group}.count")
    if math.isnan(count) or count > _MOST_DEVICES:
        return
    prefixes = [f"{group}.{number}." for number in range(int(count))]
    if group == "block":
        prefixes = _filled(stats, prefixes)
    for name, column, unit in fields:
        values[column] = sum(_value(stats, prefix + name) for prefix in prefixes) * unit


def _filled(stats: Mapping[str, Any], prefixes: list[str]) -> list[str]:
    """Leave out empty drives, which have no counters, unless no drive has any: then nothing is known."""
    filled = [prefix for prefix in prefixes if any(prefix + name in stats for name, _, _ in _DISK)]
    return filled or prefixes
