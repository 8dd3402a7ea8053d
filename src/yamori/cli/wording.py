"""Numbers, spans and times in words for people. Unknown stays a word of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from yamori.cli.terminal import UNKNOWN, clean
from yamori.model.amounts import amount
from yamori.model.limits import LimitKind

NONE = "-"


def number(value: float | None) -> str:
    """Write a number with three significant digits."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cores(value: float | None) -> str:
    """Write CPU cores."""
    return UNKNOWN if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """Write a share of one."""
    return UNKNOWN if value is None else f"{value * 100:.3g}%"


def size(value: float | None) -> str:
    """Write bytes in steps of 1024."""
    return UNKNOWN if value is None else amount(value, "B")


def rate(value: float | None) -> str:
    """Write bytes per second in steps of 1000."""
    return UNKNOWN if value is None else amount(value, "B/s")


def span(seconds: float | None) -> str:
    """Write a span of time."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 100:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m" if minutes else f"{hours}h"
    return f"{hours // 24}d{hours % 24:02d}h"


def forecast(untrusted: Mapping[str, Any]) -> str:
    """Write how a move would go: live or not, and for how long the VM stands still."""
    seconds, why = untrusted.get("downtime_s"), clean(untrusted.get("why") or "", 300)
    told = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    long = f"about {span(seconds)}" if told else f"{UNKNOWN} how long"
    if untrusted.get("live") is True:
        words = f"live; it pauses for a moment, {long}"
    elif untrusted.get("live") is False:
        words = f"NOT live: it stands still meanwhile, {long}"
    else:
        words = f"{UNKNOWN} whether it is live"
    return f"{words} ({why})" if why else words


def moment(untrusted: object) -> datetime | None:
    """Read a time of the API; None for what is none."""
    try:
        found = datetime.fromisoformat(str(untrusted))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def clock(untrusted: object) -> str:
    """Write a time of the API in the reader's zone."""
    found = moment(untrusted)
    return UNKNOWN if found is None else found.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(untrusted: object, now: datetime | None = None) -> str:
    """Write how long ago a time of the API was."""
    found = moment(untrusted)
    return UNKNOWN if found is None else span(max(0.0, ((now or datetime.now(UTC)) - found).total_seconds()))


def until(untrusted: object, now: datetime | None = None) -> str:
    """Write how long it is until a time of the API."""
    found = moment(untrusted)
    return UNKNOWN if found is None else span(max(0.0, (found - (now or datetime.now(UTC))).total_seconds()))


def limit(kind: str, value: float | None) -> str:
    """Write one limit in its unit; None means that there is none."""
    if value is None:
        return f"{clean(kind)} unlimited"
    if kind == LimitKind.CPU_CAP:
        return f"cpu {value:g} cores"
    if kind == LimitKind.CPU_WEIGHT:
        return f"weight {value:g}"
    if kind == LimitKind.MEMORY:
        return f"memory {size(value)}"
    if kind == LimitKind.DISK_IOPS:
        return f"disk {value:g} IO/s"
    words = {LimitKind.DISK_BANDWIDTH: "disk", LimitKind.NET_IN: "net in", LimitKind.NET_OUT: "net out"}
    named = words.get(LimitKind(kind)) if kind in set(LimitKind) else None
    return f"{named} {rate(value)}" if named else f"{clean(kind)} {value:g}"


def limits(values: Mapping[str, Any]) -> str:
    """Write several limits on one line."""
    return ", ".join(limit(kind, value) for kind, value in values.items()) or NONE


def objective(name: str, value: float | None) -> str:
    """Write a measured or promised value of an objective."""
    return span(value) if name == "disk_latency" else percent(value)


def hold(found: Mapping[str, Any] | None) -> str:
    """Write a throttle in force."""
    if found is None:
        return NONE
    return f"{limits(found['asked'])}, {until(found['expires_at'])} left"
