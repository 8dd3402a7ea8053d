"""CPU limits in libvirt's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.drivers.libvirt.pinning import mask_for, pinning_of
from yamori.drivers.libvirt.quota import cap_of, settings_for_cap, shares_for
from yamori.model.errors import Conflict, Invalid

FREE = {
    f"{g}_{w}": v
    for g in ("vcpu", "global", "emulator", "iothread")
    for w, v in (("period", 100_000), ("quota", -1))
}


def _after(scheduler: dict[str, int], cores: float | None, vcpus: int) -> dict[str, int]:
    return {**scheduler, **settings_for_cap(cores, scheduler, vcpus)}


def test_a_free_vm_has_no_cap() -> None:
    assert cap_of(FREE, 4) is None
    assert settings_for_cap(None, FREE, 4) == {}


def test_the_whole_vm_is_bounded_so_that_emulation_counts() -> None:
    assert settings_for_cap(1.5, FREE, 4) == {"global_quota": 150_000}


def test_a_bound_set_by_hand_on_each_vcpu_is_read_over_all_of_them_and_kept_as_the_dial() -> None:
    by_hand = {**FREE, "vcpu_quota": 50_000}
    assert cap_of(by_hand, 4) == 2.0
    throttled = _after(by_hand, 1.0, 4)
    assert (throttled["vcpu_quota"], throttled["global_quota"]) == (25_000, -1)
    assert _after(throttled, 2.0, 4) == by_hand


def test_of_two_bounds_the_stricter_holds() -> None:
    assert cap_of({**FREE, "vcpu_quota": 50_000, "global_quota": 150_000}, 4) == 1.5
    assert cap_of({**FREE, "vcpu_quota": 50_000, "global_quota": 150_000}, 2) == 1.0


def test_the_kernel_s_least_quota_is_met_with_a_longer_period() -> None:
    asked = settings_for_cap(0.002, FREE, 1)
    assert asked == {"global_period": 500_000, "global_quota": 1000}


def test_less_than_the_kernel_takes_is_invalid() -> None:
    with pytest.raises(Invalid):
        settings_for_cap(0.0001, FREE, 1)


def test_a_hand_set_bound_on_emulation_above_the_cap_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="emulator_quota"):
        settings_for_cap(0.25, {**FREE, "emulator_quota": 50_000}, 1)


def test_a_bound_that_only_mirrors_the_whole_is_no_conflict() -> None:
    mirrored = {**FREE, "global_quota": 50_000, "iothread_quota": 50_000}
    assert settings_for_cap(0.25, mirrored, 1) == {"global_quota": 25_000}


@given(
    st.floats(0.001, 512),
    st.integers(1, 256),
    st.sampled_from([-1, 0, 1000, 50_000, 100_000, 400_000]),
    st.sampled_from([-1, 1000, 50_000, 100_000, 3_000_000]),
)
def test_what_is_set_is_what_holds_and_lifting_lifts(cores: float, vcpus: int, per_vcpu: int, whole: int) -> None:
    before = {**FREE, "vcpu_quota": per_vcpu, "global_quota": whole}
    try:
        after = _after(before, cores, vcpus)
    except Invalid:
        assert cores / vcpus < 0.001
        return
    seen = cap_of(after, vcpus)
    assert seen is not None
    assert seen == pytest.approx(cores, rel=0.02, abs=1e-5 * vcpus)
    for group in ("vcpu", "global"):
        assert after[f"{group}_quota"] <= 0 or after[f"{group}_quota"] >= 1000
        assert 1000 <= after[f"{group}_period"] <= 1_000_000
    whole_cores = after["global_quota"] / after["global_period"] if after["global_quota"] > 0 else None
    if whole_cores is not None and after["vcpu_quota"] > 0:
        assert after["vcpu_quota"] / after["vcpu_period"] <= whole_cores + 1e-4, "cgroup v1 would refuse it"
    assert cap_of(_after(after, None, vcpus), vcpus) is None


@pytest.mark.parametrize(
    ("weight", "of_one", "shares"),
    [(1, 1024, 1024), (0.5, 100, 50), (None, 1024, 1024), (0.0001, 100, 1), (0.0001, 1024, 2)],
)
def test_a_weight_of_one_is_an_ordinary_vm(weight: float | None, of_one: int, shares: int) -> None:
    assert shares_for(weight, of_one) == shares


def test_a_weight_beyond_the_kernel_s_range_is_invalid() -> None:
    with pytest.raises(Invalid):
        shares_for(101, 100)


def test_pinning_is_the_union_and_all_is_none() -> None:
    assert pinning_of([(True, False, False), (False, True, False)]) == {0, 1}
    assert pinning_of([(True, True), (True, True)]) is None
    assert pinning_of([]) is None


@pytest.mark.parametrize("cpus", [frozenset(), frozenset({2}), frozenset({-1, 0})])
def test_a_mask_needs_cpus_that_are_there(cpus: frozenset[int]) -> None:
    with pytest.raises(Invalid):
        mask_for(cpus, 2)
