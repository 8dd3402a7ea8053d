"""Quantities as people write them: ``20ms``, ``5%``, ``512M``, ``2MB/s``. One parser for files and command lines.

As with systemd's resource settings, a bare K, M, G or T counts in 1024 for sizes and in 1000 for rates;
``KiB`` is always 1024 and ``kB`` always 1000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_NUMBER = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-zµ%/]*)")
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|us|µs|s|m|h|d)")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def seconds(text: str) -> float:
    """Read a span of time: ``90s``, ``1h30m``, ``20ms``. A unit is required. Raises ValueError."""
    compact = text.replace(" ", "")
    parts = _PART.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != compact:
        raise ValueError(f"{text[:40]!r} is no span of time; write it like 20ms, 30s, 10m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def fraction(text: str) -> float:
    """Read a share: ``5%`` or ``0.05``. Raises ValueError."""
    number, unit = _split(text, "a share; write it like 5% or 0.05")
    if unit not in {"", "%"}:
        raise ValueError(f"{text[:40]!r} is no share; write it like 5% or 0.05")
    return number / 100 if unit == "%" else number


def size(text: str) -> float:
    """Read bytes of memory or disk: ``512M`` = ``512MiB``, ``1.5G``, ``500MB``, ``4096``. Raises ValueError."""
    return _bytes(text, bare=1024, example="a size; write it like 512M, 2GiB or 500MB")


def rate(text: str) -> float:
    """Read bytes per second: ``5M`` = ``5MB/s``, ``10MiB/s``, ``800kB``. Raises ValueError."""
    return _bytes(
        re.sub(r"/s$", "", text.strip()), bare=1000, example="a rate; write it like 5M, 10MiB/s or 800kB/s"
    )


def count(text: str) -> float:
    """Read a plain number such as cores, shares or operations per second: ``0.5``, ``100``, ``2k``."""
    number, unit = _split(text, "a number; write it like 0.5, 100 or 2k")
    if unit.lower() not in _POWERS:
        raise ValueError(f"{text[:40]!r} is no number; write it like 0.5, 100 or 2k")
    return number * 1000.0 ** _POWERS[unit.lower()]


def _bytes(text: str, *, bare: int, example: str) -> float:
    number, unit = _split(text, example)
    lowered = unit.lower()
    if lowered.endswith("ib"):
        step, letter = 1024, lowered[:-2]
    elif lowered.endswith("b") and len(lowered) == 2:
        step, letter = 1000, lowered[:-1]
    else:
        step, letter = bare, "" if lowered == "b" else lowered
    if letter not in _POWERS:
        raise ValueError(f"{text[:40]!r} is not {example}")
    return float(number * float(step) ** _POWERS[letter])


def _split(text: str, example: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is not {example}")
    return float(match[1]), match[2]


def _reader(read: Callable[[str], float], *, bare_number: bool) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if not bare_number:
            raise ValueError(f"{value} has no unit; write it like {value}s or {value}m")
        if value < 0 or not math.isfinite(value):
            raise ValueError(f"{value} must not be negative")
        return float(value)

    return convert


def _schema(pattern: str, examples: list[str], *, bare_number: bool) -> WithJsonSchema:
    text: dict[str, Any] = {"type": "string", "pattern": pattern, "examples": examples}
    return WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, text]} if bare_number else text)


Seconds = Annotated[
    float,
    BeforeValidator(_reader(seconds, bare_number=False)),
    _schema(r"^([0-9.]+ *(us|µs|ms|s|m|h|d) *)+$", ["20ms", "30s", "10m", "1h30m"], bare_number=False),
]
Fraction = Annotated[
    float,
    BeforeValidator(_reader(fraction, bare_number=True)),
    _schema(r"^[0-9.]+ *%?$", ["5%"], bare_number=True),
]
Count = Annotated[
    float,
    BeforeValidator(_reader(count, bare_number=True)),
    _schema(r"^[0-9.]+ *[kKmMgG]?$", ["100", "2k"], bare_number=True),
]
ByteRate = Annotated[
    float,
    BeforeValidator(_reader(rate, bare_number=True)),
    _schema(r"^[0-9.]+ *[kKmMgGtT]?(i?[bB])?(/s)?$", ["5M", "10MiB/s"], bare_number=True),
]
