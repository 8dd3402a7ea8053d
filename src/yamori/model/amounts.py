"""Amounts in words for people: memory in steps of 1024, traffic in steps of 1000, all else as it is."""

from collections.abc import Mapping

_SCALES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "B": (1024.0, ("B", "KiB", "MiB", "GiB", "TiB", "PiB")),
    "B/s": (1000.0, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s")),
}


def amount(value: float, unit: str) -> str:
    """Write an amount of a unit with up to four significant digits; ``unit`` may be empty."""
    step, units = _SCALES.get(unit, (float("inf"), (unit,)))
    power = 0
    while abs(value) >= step and power < len(units) - 1:
        value, power = value / step, power + 1
    return f"{value:.4g} {units[power]}".rstrip()
