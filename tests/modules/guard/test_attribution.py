import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from yamori.modules.guard.attribution import Scene, co_movement, suspects


def scene(*, taken, usual, lack, onset=4, moments=12, waits=None, capable=None):
    """A step at ``onset`` moments before the end, in use and in suffering."""
    taken, usual, lack = (np.array(x, float) for x in (taken, usual, lack))
    before = np.where(np.isnan(usual), taken, usual)
    series = np.tile(before, (moments, 1))
    series[-onset:] = taken
    filled = np.full((moments, len(taken)), 0.2)
    filled[-onset:, lack > 0] = 3.0
    return Scene(
        taken=taken,
        usual=usual,
        lack=lack,
        waits=np.zeros(len(taken)) if waits is None else np.array(waits, float),
        series=series.astype(np.float32),
        filled=filled.astype(np.float32),
        capable=np.ones(len(taken), bool) if capable is None else np.array(capable),
    )


def test_the_vm_that_rose_with_the_suffering_is_named():
    found = suspects(scene(taken=[0.3, 0.3, 2.0], usual=[0.3, 0.3, 0.1], lack=[0.5, 0.4, 0.0]), 0.5)
    assert [s.row for s in found] == [2]
    assert found[0].rise == 1.0
    assert found[0].together > 0.9


def test_a_busy_vm_that_is_always_busy_is_not_named():
    found = suspects(scene(taken=[4.0, 0.3, 2.0], usual=[4.0, 0.3, 0.1], lack=[0.0, 0.4, 0.0]), 0.5)
    assert [s.row for s in found] == [2]


def test_nobody_is_named_when_all_rise_alike():
    rising = [0.6] * 8
    assert suspects(scene(taken=rising, usual=[0.3] * 8, lack=[0.3] * 8), 0.5) == []


def test_who_could_not_give_back_what_is_lacking_is_not_the_cause():
    assert suspects(scene(taken=[0.3, 0.3, 0.2], usual=[0.3, 0.3, 0.1], lack=[2.0, 2.0, 0.0]), 0.5) == []


def test_what_the_cause_itself_waits_for_counts_as_what_would_be_freed():
    tight = scene(taken=[0.2, 0.2, 0.4], usual=[0.2, 0.2, 0.0], lack=[0.6, 0.6, 0.0], waits=[0.6, 0.6, 3.0])
    assert [s.row for s in suspects(tight, 0.5)] == [2]


def test_a_vm_is_not_blamed_for_its_own_suffering():
    assert suspects(scene(taken=[0.3, 2.0], usual=[0.3, 0.1], lack=[0.0, 0.9]), 0.5) == []


def test_who_may_not_be_named_is_not():
    blind = scene(taken=[0.3, 2.0], usual=[0.3, 0.1], lack=[0.5, 0.0], capable=[True, False])
    assert suspects(blind, 0.5) == []


def test_without_a_history_the_one_far_beyond_the_others_is_named():
    nan = float("nan")
    found = suspects(scene(taken=[0.3, 0.3, 0.3, 2.5], usual=[nan] * 4, lack=[0.5, 0.5, 0.5, 0.0]), 0.5)
    assert [s.row for s in found] == [3]


def test_unknown_use_has_no_co_movement():
    blind = scene(taken=[0.3, float("nan")], usual=[0.3, 0.1], lack=[0.5, 0.0])
    assert np.isnan(co_movement(blind)[1])


@given(st.permutations(range(5)))
def test_the_order_of_vms_does_not_change_who_is_named(order):
    order = list(order)
    taken, usual, lack = [0.3, 0.2, 0.4, 2.2, 0.3], [0.3, 0.2, 0.3, 0.1, 0.3], [0.4, 0.2, 0.0, 0.0, 0.1]
    straight = suspects(scene(taken=taken, usual=usual, lack=lack), 0.3)
    shuffled = suspects(
        scene(taken=[taken[i] for i in order], usual=[usual[i] for i in order], lack=[lack[i] for i in order]), 0.3
    )
    assert [s.row for s in straight] == [order[s.row] for s in shuffled]
    np.testing.assert_allclose([s.confidence for s in straight], [s.confidence for s in shuffled], rtol=1e-6)
