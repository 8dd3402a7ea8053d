"""Brakes: what may happen at once and in a while."""

import pytest

from tests.policy.situations import ALLOW_ALL, deed, facts, host, migrate, policy, proposal, release, throttle
from yamori.model.proposal import Verdict
from yamori.policy.decide import decide
from yamori.policy.facts import Deed, Facts


def ruled(brakes: str, known: Facts, action: object = None) -> str:
    return decide(proposal(action), known, policy(ALLOW_ALL, f"brakes: {brakes}")).rule  # type: ignore[arg-type]


def many(number: int, verb: str = "throttle", **where: object) -> tuple[Deed, ...]:
    return tuple(deed(f"x{i}", verb, **where) for i in range(number))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("brakes", "known", "rule"),
    [
        ("{every: {at_once: {fleet: 3}}}", facts(in_force=many(3)), "brake:every.at_once.fleet"),
        ("{every: {at_once: {fleet: 3}}}", facts(in_force=many(2)), "yes-all"),
        ("{every: {at_once: {host: 2}}}", facts(in_force=many(2)), "brake:every.at_once.host"),
        ("{every: {at_once: {host: 2}}}", facts(in_force=many(9, at="h2")), "yes-all"),
        ("{every: {at_once: {site: 2}}}", facts(in_force=many(2, at="h2")), "brake:every.at_once.site"),
        ("{every: {at_once: {site: 2}}}", facts(in_force=many(9, at="h2", site="south")), "yes-all"),
        ("{every: {window: {within: 5m, fleet: 3}}}", facts(recent=many(3)), "brake:every.window.fleet"),
        ("{every: {window: {within: 5m, fleet: 3}}}", facts(recent=many(9, ago=301.0)), "yes-all"),
        ("{every: {window: {within: 5m, host: 1}}}", facts(recent=many(1)), "brake:every.window.host"),
        ("{every: {at_once: {fleet: 0}}}", facts(), "brake:every.at_once.fleet"),
    ],
)
def test_each_bound_holds_in_its_scope(brakes: str, known: Facts, rule: str) -> None:
    assert ruled(brakes, known) == rule


def test_disruptive_actions_are_counted_apart() -> None:
    brakes = "{every: {}, disruptive: {at_once: {fleet: 1}, window: {within: 1h, fleet: 2}}}"
    assert ruled(brakes, facts(in_force=many(9)), migrate()) == "yes-all"
    assert ruled(brakes, facts(in_force=many(1, "migrate")), migrate()) == "brake:disruptive.at_once.fleet"
    assert ruled(brakes, facts(recent=many(2, "migrate")), migrate()) == "brake:disruptive.window.fleet"
    assert ruled(brakes, facts(in_force=many(1, "migrate")), throttle()) == "yes-all"


def test_what_has_no_known_place_counts_in_every_place() -> None:
    lost = facts(in_force=(deed("x", at="h9", site=None),), host=host(site="north"))
    assert ruled("{every: {at_once: {site: 1}}}", lost) == "brake:every.at_once.site"
    blind = facts(vm=None, host=None, in_force=many(1, at="h9"))
    assert ruled("{every: {at_once: {host: 1}}}", blind, migrate()) == "brake:every.at_once.host"


def test_adjusting_a_throttle_in_force_is_no_new_action_but_is_bounded_itself() -> None:
    brakes = "{every: {at_once: {fleet: 1}, window: {within: 5m, fleet: 1}}, adjustments: 3}"
    mine = tuple(deed("a", ago=10.0 * i) for i in range(3))
    assert ruled(brakes, facts(in_force=mine[:1], recent=mine[:2])) == "yes-all"
    assert ruled(brakes, facts(in_force=mine[:1], recent=mine)) == "brake:adjustments"


def test_adjustments_count_once_in_a_window_and_throttling_anew_counts_again() -> None:
    brakes = "{every: {window: {within: 5m, fleet: 2}}}"
    adjusted = tuple(deed("x", ago=100.0 - i) for i in range(9))
    assert ruled(brakes, facts(recent=adjusted)) == "yes-all"
    flapping = (deed("x", ago=90), deed("x", "release", ago=60), deed("x", ago=30))
    assert ruled(brakes, facts(recent=flapping)) == "brake:every.window.fleet"


def test_a_release_is_never_held_back() -> None:
    assert ruled("{every: {at_once: {fleet: 0}}}", facts(), release()) == "yes-all"


def test_a_brake_denies_and_says_how_many() -> None:
    known = facts(in_force=many(3))
    decision = decide(proposal(), known, policy(ALLOW_ALL, "brakes: {every: {at_once: {fleet: 3}}}"))
    assert decision.verdict is Verdict.DENY
    assert "3 other VMs of the fleet have an action in force, at most 3 may at once" in decision.reason


def test_control_learns_how_far_back_to_remember() -> None:
    assert policy().brakes.longest_window() == 3600.0
    assert policy(more="brakes: {disruptive: {}, every: {}}").brakes.longest_window() == 300.0
