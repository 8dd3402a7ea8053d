"""Samples of 20 seconds become counters that grow evenly: nothing is counted twice, nothing is lost."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.drivers.vsphere.counters import PLAYED, Sample
from yamori.drivers.vsphere.playback import DELAY_S, Clock, Track


def sample(end: float, rate: float, seconds: float = 20.0) -> Sample:
    return Sample(
        end_s=end,
        seconds=seconds,
        rates=np.full(len(PLAYED), rate),
        consumed=1.0,
        ballooned=0.0,
    )


def track(*samples: Sample) -> Track:
    made = Track(run="1")
    made.take(samples, latest_end=math.inf)
    return made


def first(told: np.ndarray) -> float:
    return float(told[0])


def test_the_growth_in_any_moment_is_the_mean_of_the_sample_that_it_is_in() -> None:
    made = track(sample(20, 1.0), sample(40, 3.0))
    before = first(made.play(1.0))
    for moment in range(2, 41):
        now = first(made.play(float(moment)))
        assert now - before == pytest.approx(1.0 if moment <= 20 else 3.0)
        before = now


def test_a_sample_that_is_told_again_is_not_counted_again() -> None:
    made = track(sample(20, 1.0))
    start = first(made.play(0.5))
    assert made.take([sample(20, 1.0)], latest_end=math.inf) is False
    assert made.take([sample(20, 1.0), sample(40, 1.0)], latest_end=math.inf) is True
    assert first(made.play(40.0)) - start == pytest.approx(39.5)


def test_samples_that_overlap_count_each_moment_once() -> None:
    """The simulator's samples end when it is asked, wherever that is."""
    made = track(sample(20, 2.0))
    start = first(made.play(1.0))
    made.take([sample(7, 9.0), sample(27, 4.0)], latest_end=math.inf)
    assert first(made.play(27.0)) - start == pytest.approx(19 * 2.0 + 7 * 4.0)


def test_a_gap_between_samples_makes_the_reading_over_it_unknown_and_no_other() -> None:
    made = track(sample(20, 1.0), sample(60, 1.0))
    assert np.isfinite(first(made.play(10.0)))
    assert np.isfinite(first(made.play(20.0)))
    assert np.isnan(first(made.play(45.0)))
    assert np.isfinite(first(made.play(50.0)))


def test_where_no_sample_reaches_nothing_is_known() -> None:
    made = track(sample(20, 1.0))
    made.play(10.0)
    assert np.isnan(first(made.play(21.0)))
    assert np.isnan(first(Track(run="1").play(5.0)))
    assert np.isnan(first(track(sample(40, 1.0)).play(5.0))), "samples begin later than what is asked for"


def test_a_column_that_a_sample_does_not_know_is_unknown_while_others_go_on() -> None:
    holed = sample(40, 1.0)
    holed.rates[1] = np.nan
    made = track(sample(20, 1.0), holed, sample(60, 1.0))
    made.play(10.0)
    told = made.play(30.0)
    assert np.isfinite(told[0])
    assert np.isnan(told[1])
    assert np.isnan(made.play(45.0)[1]), "part of the time since the last reading is not known"
    assert np.isfinite(made.play(50.0)[1])


def test_going_back_is_standing_still() -> None:
    made = track(sample(20, 1.0))
    made.play(5.0)
    told = first(made.play(15.0))
    assert first(made.play(3.0)) == told
    assert first(made.play(15.0)) == told


def test_samples_from_the_future_or_without_a_time_are_left() -> None:
    made = Track(run="1")
    bad = [sample(math.nan, 1.0), sample(20, 1.0, math.nan), sample(1e9, 1.0), sample(math.inf, 1.0)]
    assert made.take(bad, latest_end=100.0) is False
    assert made.end == -math.inf


def test_what_waits_is_bounded() -> None:
    made = Track(run="1")
    made.take([sample(20.0 * n, 1.0) for n in range(1, 5000)], latest_end=math.inf)
    assert len(made._waiting) <= 64


@given(
    rates=st.lists(st.floats(0, 1e9), min_size=2, max_size=12),
    steps=st.lists(st.floats(0.01, 45.0), min_size=1, max_size=40),
    asked=st.lists(st.integers(1, 4), min_size=1, max_size=12),
)
def test_however_it_is_asked_the_sum_is_that_of_the_samples(
    rates: list[float], steps: list[float], asked: list[int]
) -> None:
    """Delivered in overlapping pieces, played in steps of any length: the integral is exact and never falls."""
    all_samples = [sample(20.0 * (n + 1), rate) for n, rate in enumerate(rates)]
    made = Track(run="1")
    made.take(all_samples[:1], latest_end=math.inf)
    start = first(made.play(0.001))
    for n in range(1, len(all_samples)):
        back = asked[n % len(asked)]
        made.take(all_samples[max(0, n - back) : n + 1], latest_end=math.inf)
    moment, before = 0.001, start
    for step in steps:
        moment = min(moment + step, 20.0 * len(rates))
        now = first(made.play(moment))
        assert now >= before
        before = now
    expected = sum(
        rate * max(0.0, min(moment, 20.0 * (n + 1)) - max(0.001, 20.0 * n)) for n, rate in enumerate(rates)
    )
    assert before - start == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_the_moment_that_is_told_goes_as_evenly_as_our_own_clock() -> None:
    clock = Clock()
    assert clock.set(1_700_000_000.0, 50.0) is True
    one, other = (clock.monotonic(clock.told(at)) for at in (60.0, 61.0))
    assert other - one == pytest.approx(1.0)
    assert one == pytest.approx(60.0 - DELAY_S)
    assert clock.set(1_700_000_100.3, 150.0) is False, "a little drift is no jump"
    assert clock.monotonic(clock.told(150.0)) == pytest.approx(150.3 - DELAY_S)
    assert clock.set(1_700_009_000.0, 160.0) is True
