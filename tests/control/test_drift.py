"""What others change by hand is told, once, and never taken for ours."""

from datetime import UTC, datetime, timedelta

from yamori.control.drift import Drift
from yamori.manifest.module import Hold
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VM = VMId("vm-1")


def limits(**values: float | None) -> Limits:
    return Limits(values={LimitKind(kind): value for kind, value in values.items()})


def hold(before: dict[str, float | None], asked: dict[str, float]) -> Hold:
    return Hold(
        vm=VM,
        before={LimitKind(k): v for k, v in before.items()},
        asked={LimitKind(k): v for k, v in asked.items()},
        since=NOW,
        expires_at=NOW + timedelta(minutes=1),
        run="r",
        finding_key=None,
    )


def test_what_is_found_at_first_sight_is_no_drift() -> None:
    drift = Drift()
    assert drift.look(VM, limits(cpu_cap=0.5), None, NOW) == ()
    assert drift.standing(VM) == ()


def test_a_limit_set_by_hand_is_told_once_and_stands_until_it_is_gone() -> None:
    drift = Drift()
    drift.look(VM, limits(cpu_cap=None), None, NOW)
    told = drift.look(VM, limits(cpu_cap=0.5), None, NOW)
    assert len(told) == 1
    assert "unlimited → 0.5 cores" in told[0]
    assert drift.look(VM, limits(cpu_cap=0.5), None, NOW) == ()
    assert len(drift.standing(VM)) == 1
    assert drift.look(VM, limits(cpu_cap=None), None, NOW) == ()
    assert drift.standing(VM) == ()


def test_another_value_by_hand_is_told_again() -> None:
    drift = Drift()
    drift.look(VM, limits(disk_iops=None), None, NOW)
    assert drift.look(VM, limits(disk_iops=100), None, NOW)
    assert drift.look(VM, limits(disk_iops=50), None, NOW)


def test_our_own_throttle_is_no_drift() -> None:
    drift = Drift()
    drift.look(VM, limits(cpu_cap=None), None, NOW)
    ours = hold({"cpu_cap": None}, {"cpu_cap": 0.3})
    assert drift.look(VM, limits(cpu_cap=0.3), ours, NOW) == ()
    assert not drift.on_hold(VM, ours)


def test_a_hypervisors_rounding_is_no_drift() -> None:
    drift = Drift()
    drift.look(VM, limits(cpu_cap=None), None, NOW)
    assert drift.look(VM, limits(cpu_cap=0.301), hold({"cpu_cap": None}, {"cpu_cap": 0.3}), NOW) == ()


def test_a_hand_on_our_throttle_is_seen_as_such() -> None:
    drift = Drift()
    drift.look(VM, limits(cpu_cap=None), None, NOW)
    ours = hold({"cpu_cap": None}, {"cpu_cap": 0.3})
    assert drift.look(VM, limits(cpu_cap=0.8), ours, NOW)
    assert drift.on_hold(VM, ours)


def test_after_a_restart_a_throttle_of_ours_is_not_taken_for_what_was_found() -> None:
    drift = Drift()
    ours = hold({"cpu_cap": None}, {"cpu_cap": 0.3})
    assert drift.look(VM, limits(cpu_cap=0.3), ours, NOW) == ()
    # Released: back to what held before us, which is no drift; staying throttled would be.
    assert drift.look(VM, limits(cpu_cap=None), None, NOW) == ()
    assert drift.look(VM, limits(cpu_cap=0.3), None, NOW)


def test_a_stricter_limit_by_hand_from_before_our_throttle_is_expected_to_stay() -> None:
    drift = Drift()
    drift.look(VM, limits(cpu_cap=0.2), None, NOW)
    assert drift.look(VM, limits(cpu_cap=0.2), hold({"cpu_cap": 0.2}, {"cpu_cap": 0.3}), NOW) == ()
