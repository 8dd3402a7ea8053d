"""Findings in, proposals out: the ladder of limits, hands off, moves, letting go."""

import itertools
from dataclasses import replace

import pytest

from tests.modules.guard.columns import ATTACK, HURT, Theatre
from yamori.capabilities.sensing.usage import Column
from yamori.model.actions import Migrate, Release, Throttle
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.sla import SLAClass
from yamori.modules.guard import ladder
from yamori.modules.guard.respond import respond

CAST = {"g": "gold", "s": "silver", "bad": "bronze", "other": "bronze"}
BOTH = frozenset({HostId("h"), HostId("h2")})


def attacked(theatre, ticks=2, changed=None):
    theatre.calm()
    for _ in range(ticks):
        told = theatre.tick(changed or ATTACK)
    return told


def only(proposals):
    (proposal,) = proposals
    return proposal.action


def test_the_first_throttle_gives_back_what_was_taken():
    action = only(attacked(Theatre(CAST))[1])
    assert isinstance(action, Throttle)
    assert set(action.limits) == {LimitKind.CPU_CAP}
    lack = 2 * 0.35
    assert action.limits[LimitKind.CPU_CAP] == pytest.approx(1.0 - 1.25 * lack)
    assert action.expires_after_s == 60.0


def test_no_throttle_goes_below_the_floor_of_the_class():
    harsh = {**ATTACK, "g": {Column.CPU_DELAY: 0.9}, "s": {Column.CPU_DELAY: 0.9}}
    action = only(attacked(Theatre({**CAST, "bad": "silver"}), changed=harsh)[1])
    assert action.limits[LimitKind.CPU_CAP] == 0.25


def test_where_no_cap_can_be_set_a_weight_is():
    action = only(attacked(Theatre(CAST, kinds=frozenset({LimitKind.CPU_WEIGHT})))[1])
    assert set(action.limits) == {LimitKind.CPU_WEIGHT}
    assert action.limits[LimitKind.CPU_WEIGHT] < 1.0


def test_where_nothing_can_be_set_nothing_is_proposed():
    assert attacked(Theatre(CAST, kinds=frozenset()))[1] == []


def test_a_gold_offender_is_never_throttled_but_moved():
    theatre = Theatre({**CAST, "bad": "gold"}, can_migrate=BOTH)
    told = [attacked(theatre)[1], *(theatre.tick(ATTACK)[1] for _ in range(3))]
    actions = [p.action for proposals in told for p in proposals]
    assert {type(a) for a in actions} == {Migrate}


def test_an_attacker_is_not_carried_to_another_host_its_victim_is():
    theatre = Theatre({**CAST, "bad": "gold"}, can_migrate=BOTH)
    told = [attacked(theatre)[1], *(theatre.tick(ATTACK)[1] for _ in range(3))]
    assert {p.action.vm for proposals in told for p in proposals} <= {"g", "s"}


def test_a_move_is_not_proposed_at_every_reading():
    theatre = Theatre({**CAST, "bad": "gold"}, can_migrate=BOTH)
    attacked(theatre, ticks=1)
    told = [theatre.tick(ATTACK)[1] for _ in range(28)]
    assert sum(len(proposals) for proposals in told) == 1
    assert sum(len(theatre.tick(ATTACK)[1]) for _ in range(30)) == 1


def test_after_a_move_that_was_not_made_the_next_one_is_proposed():
    theatre = Theatre({**CAST, "bad": "gold"}, can_migrate=BOTH)
    told = [attacked(theatre)[1], *(theatre.tick(ATTACK)[1] for _ in range(100))]
    moved = [p.action.vm for proposals in told for p in proposals]
    assert len(moved) == 4
    assert set(moved) == {"g", "s"}
    assert all(first != second for first, second in itertools.pairwise(moved))


def test_no_module_asks_by_itself_that_a_vm_stands_still():
    theatre = Theatre({**CAST, "bad": "gold"}, can_migrate=BOTH)
    told = [attacked(theatre)[1], *(theatre.tick(ATTACK)[1] for _ in range(100))]
    assert not any(p.action.stopping for proposals in told for p in proposals)


def test_nothing_is_proposed_while_a_run_is_under_way():
    assert attacked(Theatre(CAST, moving=frozenset({VMId("bad")})))[1] == []


def test_what_a_hand_has_changed_is_left_alone_and_said():
    findings, proposals = attacked(Theatre(CAST, drifted=frozenset({VMId("bad")})))
    assert proposals == []
    assert "by hand" in findings[0].summary


def test_an_operators_own_throttle_is_left_alone():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.9}, None)
    assert [theatre.tick(ATTACK)[1] for _ in range(4)] == [[]] * 4


def held(theatre, cap=0.4):
    finding = attacked(theatre)[0][0]
    theatre.hold("bad", {LimitKind.CPU_CAP: cap}, finding.key)
    return finding


def pressing(cap):
    return {"bad": {Column.CPU_TIME: cap, Column.CPU_DELAY: 0.5}}


def test_a_throttle_is_not_judged_before_it_can_have_worked():
    theatre = Theatre(CAST)
    held(theatre)
    assert theatre.tick({**HURT, **pressing(0.4)})[1] == []


def test_a_throttle_that_does_not_suffice_is_tightened():
    theatre = Theatre(CAST)
    held(theatre)
    told = [theatre.tick({**HURT, **pressing(0.4)})[1] for _ in range(4)]
    first = next(only(p) for p in told if p)
    assert first.limits[LimitKind.CPU_CAP] < 0.4


def test_at_the_floor_a_victim_is_moved():
    theatre = Theatre(CAST, can_migrate=BOTH)
    held(theatre, cap=0.05)
    told = [theatre.tick({**HURT, **pressing(0.05)})[1] for _ in range(8)]
    actions = [p.action for proposals in told for p in proposals]
    assert actions
    assert {type(a) for a in actions} == {Migrate}


def test_a_throttle_is_renewed_while_its_reason_holds():
    theatre = Theatre(CAST)
    held(theatre)
    theatre.settings = theatre.settings.model_copy(update={"probe_s": 1000.0})
    told = [theatre.tick(pressing(0.4))[1] for _ in range(40)]
    assert not any(told[:25])
    assert only(next(p for p in told if p)).limits == {LimitKind.CPU_CAP: 0.4}


def test_a_quiet_time_is_used_to_loosen_and_see():
    theatre = Theatre(CAST)
    held(theatre)
    told = [theatre.tick(pressing(0.4))[1] for _ in range(20)]
    action = only(next(p for p in told if p))
    assert action.limits[LimitKind.CPU_CAP] == pytest.approx(0.6)


def test_a_loosening_that_proves_too_much_is_taken_back_and_not_tried_again_soon():
    theatre = Theatre(CAST)
    finding = held(theatre)
    for _ in range(16):
        theatre.tick(pressing(0.4))
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.6}, finding.key)
    told = [theatre.tick({**HURT, **pressing(0.6)})[1] for _ in range(4)]
    back = only(next(p for p in told if p))
    assert back.limits[LimitKind.CPU_CAP] == pytest.approx(0.4)
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.4}, finding.key)
    assert not any(theatre.tick(pressing(0.4))[1] for _ in range(25)), "twice as long as before the first time"


def test_the_throttle_ends_when_the_offender_no_longer_presses():
    theatre = Theatre(CAST)
    held(theatre)
    told = [theatre.tick() for _ in range(12)]
    actions = [p.action for _, proposals in told for p in proposals]
    assert actions[0] == Release(vm=VMId("bad"))
    (closed,) = [f for f in (f for findings, _ in told for f in findings) if f.closed_at is not None][:1]
    assert closed.cause == "bad"


def test_other_limits_of_the_same_hold_stay_when_one_reason_is_gone():
    theatre = Theatre(CAST)
    finding = attacked(theatre)[0][0]
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.4, LimitKind.NET_OUT: 1000.0}, finding.key)
    closed = replace(finding, closed_at=theatre.view().now)
    action = only(respond(closed, theatre.view(), theatre.settings))
    assert isinstance(action, Throttle)
    assert action.limits == {LimitKind.NET_OUT: 1000.0}


def test_a_closed_finding_without_a_hold_asks_for_nothing():
    theatre = Theatre(CAST)
    finding = replace(attacked(theatre)[0][0], closed_at=theatre.view().now)
    assert respond(finding, theatre.view(), theatre.settings) == []


def test_large_requests_are_bounded_by_bytes_and_small_ones_by_operations():
    theatre = Theatre(CAST)
    slow = {n: {Column.DISK_READ_TIME: 4.0} for n in ("g", "s", "other")}
    for octets, kind in ((4096.0, LimitKind.DISK_IOPS), (262144.0, LimitKind.DISK_BANDWIDTH)):
        theatre = Theatre(CAST)
        thrash = {Column.DISK_READ_OPS: 900.0, Column.DISK_READ_BYTES: 900 * octets, Column.DISK_READ_TIME: 180.0}
        action = only(attacked(theatre, changed={**slow, "bad": thrash})[1])
        assert set(action.limits) == {kind}


def test_ordinary_load_is_given_time_to_pass_and_keeps_its_usual_and_its_share():
    theatre = Theatre(CAST)
    crowd = {
        "bad": {Column.CPU_TIME: 0.95, Column.NET_RX_PACKETS: 3000.0, Column.NET_TX_PACKETS: 3000.0},
        "g": {Column.CPU_DELAY: 0.12},
    }
    told = [attacked(theatre, changed=crowd)[1], *(theatre.tick(crowd)[1] for _ in range(12))]
    assert not any(told[:2])
    for action in (p.action for proposals in told for p in proposals):
        assert not isinstance(action, Throttle) or action.limits[LimitKind.CPU_CAP] >= 0.3


def test_a_guest_that_keeps_its_memory_is_held_by_its_cpu():
    theatre = Theatre(CAST)
    finding = replace(attacked(theatre)[0][0], resource="memory")
    theatre.hold("bad", {LimitKind.MEMORY: 0.3 * 2**30}, finding.key)
    facts = {"held": 3.0, "suffering": 2.0, "memory_assigned_bytes": 1.0 * 2**30, "lack": 1e8}
    told = tuple(replace(e, value=facts.get(e.what, e.value)) for e in finding.evidence)
    action = only(respond(replace(finding, evidence=told), theatre.view(), theatre.settings))
    assert set(action.limits) == {LimitKind.MEMORY, LimitKind.CPU_CAP}


WHOLE = ladder.Subject(
    sla=SLAClass(name=""),
    kinds=frozenset(LimitKind),
    memory_bytes=1000.0,
    vcpus=1.0,
    disks=1,
    cards=1,
    mild=False,
    sure=False,
    margin=1.25,
)


def test_loosening_multiplies_every_limit():
    assert ladder.looser({LimitKind.CPU_CAP: 0.4, LimitKind.NET_OUT: 10.0}, 2.0, WHOLE) == {
        LimitKind.CPU_CAP: 0.8,
        LimitKind.NET_OUT: 20.0,
    }


def test_loosening_drops_a_limit_that_would_leave_all_there_is():
    asked = {LimitKind.CPU_CAP: 0.5, LimitKind.MEMORY: 600.0, LimitKind.NET_OUT: 10.0}
    assert ladder.looser(asked, 2.0, WHOLE) == {LimitKind.NET_OUT: 20.0}


def test_a_limit_loosened_beyond_the_whole_is_taken_away_and_the_others_stay():
    theatre = Theatre(CAST)
    finding = replace(attacked(theatre)[0][0], resource="memory")
    facts = {"held": 60.0, "calm": 60.0, "suffering": 0.0, "quiet": 0.0}
    told = tuple(replace(e, value=facts.get(e.what, e.value)) for e in finding.evidence)
    finding = replace(finding, evidence=told)
    theatre.hold("bad", {LimitKind.MEMORY: 0.9 * 2**30, LimitKind.NET_OUT: 1e6}, finding.key)
    action = only(respond(finding, theatre.view(), theatre.settings))
    assert action.limits == {LimitKind.NET_OUT: 1e6}
    theatre.hold("bad", {LimitKind.MEMORY: 0.9 * 2**30}, finding.key)
    assert isinstance(only(respond(finding, theatre.view(), theatre.settings)), Release)
