import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from yamori.modules.guard.standing import Standing, record, standing, suffering

values = st.floats(0, 10) | st.just(float("nan"))
bounds = st.floats(0, 10) | st.just(float("inf"))


@given(arrays(float, (4, 6), elements=values), arrays(float, (4, 6), elements=bounds))
def test_what_is_unknown_is_never_kept_or_broken(measured, promised):
    told = standing(measured, promised)
    unknown = np.isnan(measured)
    assert not np.isin(told[unknown], (Standing.KEPT, Standing.BROKEN)).any()
    assert (told[~np.isfinite(promised)] == Standing.NOT_PROMISED).all()
    known = ~unknown & np.isfinite(promised)
    assert (told[known] == np.where(measured[known] > promised[known], Standing.BROKEN, Standing.KEPT)).all()


def told(*words):
    return [np.array([[word]], np.int8) for word in words]


def after(*words, stale=10):
    last = None
    for now in told(*words):
        last = record(last, now, None, stale)
    return bool(suffering(last, 2, 3)[0, 0])


K, B, U = Standing.KEPT, Standing.BROKEN, Standing.UNKNOWN


def test_one_broken_reading_is_no_suffering():
    assert not after(K, K, B)
    assert not after(B, K, K, B)


def test_two_of_three_broken_readings_are():
    assert after(K, B, B)
    assert after(B, K, B)


def test_an_unknown_reading_neither_accuses_nor_clears():
    assert after(B, B, U)
    assert not after(B, U, K)
    assert after(B, U, U, B)


def test_what_is_unknown_for_long_no_longer_counts_as_suffering():
    assert not after(B, B, *[U] * 10)


def test_a_record_follows_its_vm_to_another_row():
    last = record(None, np.array([[B, K]], np.int8), None, 10)
    last = record(last, np.array([[K, B, B]], np.int8), np.array([1, 0, -1]), 10)
    assert suffering(last, 2, 3)[0].tolist() == [False, True, False]
