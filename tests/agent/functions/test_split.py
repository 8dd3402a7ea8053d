"""Reads and writes share one bound: together never above it, and who needs more gets what the other leaves."""

from hypothesis import given
from hypothesis import strategies as st

from yamori.agent.functions.xen.split import LEFT, halves, shared

BOUNDS = st.integers(2, 1 << 40)


@given(BOUNDS)
def test_the_first_halves_are_the_bound(bound: int) -> None:
    assert sum(halves(bound)) == bound
    assert min(halves(bound)) >= 1


@given(BOUNDS, st.lists(st.tuples(st.floats(0, 1.2), st.floats(0, 1.2)), max_size=30))
def test_the_shares_always_add_up_to_the_bound(bound: int, uses: list[tuple[float, float]]) -> None:
    shares = halves(bound)
    for reads, writes in uses:
        shares = shared(bound, shares, (reads * shares[0], writes * shares[1]))
        assert sum(shares) == bound
        assert min(shares) >= 1


@given(st.integers(40, 1 << 40))
def test_a_guest_that_only_reads_has_nearly_all_and_turning_to_writes_gets_it_back(bound: int) -> None:
    shares = halves(bound)
    for _ in range(3):
        shares = shared(bound, shares, (float(shares[0]), 0.0))
    assert shares[0] >= bound * (1 - LEFT) - 1
    for _ in range(12):
        shares = shared(bound, shares, (0.0, float(shares[1])))
    assert shares[1] >= bound * (1 - LEFT) - 1


def test_who_uses_little_of_its_share_changes_nothing() -> None:
    assert shared(100, (70, 30), (10.0, 5.0)) == (70, 30)


def test_where_both_use_all_the_shares_stay() -> None:
    assert shared(100, (70, 30), (70.0, 30.0)) == (70, 30)
