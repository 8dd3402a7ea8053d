"""Quantities as people write them."""

import pytest

from yamori.policy.quantities import count, fraction, rate, seconds, size


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (seconds, "20ms", 0.02),
        (seconds, "90s", 90.0),
        (seconds, "1h30m", 5400.0),
        (seconds, "1 h 30 m", 5400.0),
        (seconds, "0.5d", 43200.0),
        (fraction, "5%", 0.05),
        (fraction, "0.1 %", 0.001),
        (fraction, "0.25", 0.25),
        (size, "512M", 512 * 2**20),
        (size, "512MiB", 512 * 2**20),
        (size, "500MB", 500e6),
        (size, "4096", 4096.0),
        (size, "1.5G", 1.5 * 2**30),
        (size, "100B", 100.0),
        (rate, "5M", 5e6),
        (rate, "5MB/s", 5e6),
        (rate, "5MiB/s", 5 * 2**20),
        (rate, "800k", 800e3),
        (count, "0.5", 0.5),
        (count, "2k", 2000.0),
    ],
)
def test_what_people_write_is_understood(read: object, text: str, value: float) -> None:
    assert read(text) == pytest.approx(value)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (seconds, "10"),
        (seconds, "10x"),
        (seconds, "m"),
        (seconds, ""),
        (seconds, "-5s"),
        (seconds, "5s5"),
        (fraction, "5x"),
        (fraction, "-5%"),
        (size, "5Q"),
        (size, "M"),
        (size, "1e9"),
        (rate, "5M/m"),
        (rate, ""),
        (count, "5%"),
        (count, "nan"),
        (count, "inf"),
        (count, "9" * 40),
        (size, "1" * 10_000),
    ],
)
def test_anything_else_is_refused_with_an_example_of_what_would_do(read: object, text: str) -> None:
    with pytest.raises(ValueError, match="write it like") as caught:
        read(text)  # type: ignore[operator]
    assert len(str(caught.value)) < 200
