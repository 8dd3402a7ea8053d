"""Caps and weights of Xen's credit schedulers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.drivers.libvirt.credit import cap_for, cores_of, weight_for, weight_of
from yamori.model.errors import Invalid


@given(st.floats(0.01, 512), st.integers(1, 512))
def test_a_cap_that_is_set_is_the_one_that_is_read_to_a_percent_of_a_core(cores: float, vcpus: int) -> None:
    try:
        seen = cores_of(cap_for(cores, vcpus))
    except Invalid:
        assert cores > vcpus
        return
    assert seen == pytest.approx(cores, abs=0.00501)
    assert seen <= vcpus


def test_no_cap_is_zero_and_the_least_cap_is_not() -> None:
    assert cap_for(None, 4) == 0
    assert cores_of(0) is None
    assert cap_for(0.001, 4) == 1


@given(st.floats(0.01, 255))
def test_a_weight_that_is_set_is_the_one_that_is_read(weight: float) -> None:
    asked = weight_for(weight)
    assert 1 <= asked <= 65_535
    seen = weight_of(asked)
    assert (1.0 if seen is None else seen) == pytest.approx(weight, abs=1 / 256)


def test_an_ordinary_weight_is_no_limit_and_one_beyond_xen_is_invalid() -> None:
    assert weight_for(None) == weight_for(1.0) == 256
    assert weight_of(256) is None
    with pytest.raises(Invalid):
        weight_for(257)
