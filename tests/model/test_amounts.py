"""Amounts for people."""

import pytest

from yamori.model.amounts import amount
from yamori.model.limits import LimitKind, allowance


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.0, "B", "0 B"),
        (1023.0, "B", "1023 B"),
        (1024.0, "B", "1 KiB"),
        (343_932_928.0, "B", "328 MiB"),
        (-2048.0, "B", "-2 KiB"),
        (4_753_000.0, "B/s", "4.753 MB/s"),
        (999.0, "B/s", "999 B/s"),
        (1e18, "B/s", "1e+06 TB/s"),
        (0.25, "cores", "0.25 cores"),
        (0.123456, "", "0.1235"),
    ],
)
def test_an_amount_is_told_in_the_largest_unit_that_fits(value: float, unit: str, told: str) -> None:
    assert amount(value, unit) == told


def test_no_limit_is_told_as_such() -> None:
    assert allowance(LimitKind.MEMORY, None) == "unlimited"
    assert allowance(LimitKind.MEMORY, 2.0**30) == "1 GiB"
    assert allowance(LimitKind.DISK_IOPS, 600.0) == "600 IO/s"
