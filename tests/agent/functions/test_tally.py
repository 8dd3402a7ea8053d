"""Sums over devices that come and go never fall, and do not count what a device did before it was there."""

import numpy as np

from yamori.agent.functions.xen.tally import Tally


def of(*numbers: float) -> np.ndarray:
    return np.array(numbers)


def test_devices_add_up() -> None:
    tally = Tally(2)
    assert tally.add({"a": of(1, 2), "b": of(10, 20)}).tolist() == [11, 22]
    assert tally.add({"a": of(2, 4), "b": of(10, 21)}).tolist() == [12, 25]


def test_a_device_that_goes_takes_nothing_along_and_one_that_comes_brings_nothing_with_it() -> None:
    tally = Tally(1)
    tally.add({"a": of(100)})
    tally.add({"a": of(110), "b": of(5000)})
    assert tally.add({"b": of(5007)}).tolist() == [117]
    assert tally.add({}).tolist() == [117]
    assert tally.add({"a": of(3)}).tolist() == [117]
    assert tally.add({"a": of(4)}).tolist() == [118]


def test_a_counter_that_fell_begins_anew() -> None:
    tally = Tally(1)
    tally.add({"a": of(100)})
    assert tally.add({"a": of(5)}).tolist() == [100]
    assert tally.add({"a": of(9)}).tolist() == [104]


def test_what_cannot_be_read_is_unknown_in_that_sum_only_and_is_made_up_for() -> None:
    tally = Tally(2)
    tally.add({"a": of(1, 1)})
    told = tally.add({"a": of(float("nan"), 3)})
    assert np.isnan(told[0])
    assert told[1] == 3
    assert tally.add({"a": of(7, 4)}).tolist() == [7, 4]


def test_no_device_is_zero_and_not_unknown() -> None:
    assert Tally(3).add({}).tolist() == [0, 0, 0]
