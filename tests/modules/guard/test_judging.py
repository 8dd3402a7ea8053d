"""Readings in, findings out: what the guard says of counters that are made by hand."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.modules.guard.columns import ATTACK, BURN, GIB, HURT, Theatre
from yamori.capabilities.sensing.usage import Column
from yamori.model.finding import Severity
from yamori.model.ids import HostId
from yamori.model.limits import LimitKind

BUSY = {"bad": {Column.CPU_TIME: 1.0}}
CAST = {"g": "gold", "s": "silver", "bad": "bronze", "other": "bronze", "more": "bronze"}


def test_a_calm_fleet_has_no_findings():
    theatre = Theatre(CAST)
    assert all(theatre.tick() == ([], []) for _ in range(60))


def test_the_cause_is_named_at_the_second_broken_reading():
    theatre = Theatre(CAST)
    theatre.calm()
    assert theatre.tick(ATTACK)[0] == []
    findings, proposals = theatre.tick(ATTACK)
    (finding,) = findings
    assert (finding.kind, finding.resource, finding.cause) == ("contention", "cpu", "bad")
    assert set(finding.victims) == {"g", "s"}
    assert finding.confidence >= 0.5
    assert finding.severity is Severity.HIGH
    assert finding.nature == "attack"
    assert [p.action.verb for p in proposals] == ["throttle"]


def test_a_finding_keeps_its_identity_while_it_lasts_and_closes_once():
    theatre = Theatre(CAST)
    theatre.calm()
    told = [theatre.tick(ATTACK)[0] for _ in range(5)] + [theatre.tick()[0] for _ in range(12)]
    seen = [f for findings in told for f in findings]
    assert len({(f.id, f.key) for f in seen}) == 1
    assert sum(f.closed_at is not None for f in seen) == 1
    assert told[-1] == []


def test_a_busy_vm_that_harms_nobody_is_no_finding():
    theatre = Theatre(CAST)
    theatre.calm()
    assert all(theatre.tick(BUSY) == ([], []) for _ in range(30))


def test_use_that_is_new_for_long_is_a_low_finding_without_a_proposal():
    theatre = Theatre(CAST)
    theatre.calm(120)
    told = [theatre.tick(BUSY) for _ in range(90)]
    kinds = {(f.kind, f.cause, f.severity) for findings, _ in told for f in findings}
    assert kinds == {("unusual", "bad", Severity.LOW)}
    assert not any(proposals for _, proposals in told)


def test_one_bad_reading_is_no_finding():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.tick(ATTACK)
    assert [theatre.tick()[0] for _ in range(5)] == [[]] * 5


def test_suffering_without_a_cause_is_told_without_a_guess():
    theatre = Theatre(CAST)
    theatre.calm()
    everybody = {name: {Column.CPU_DELAY: 0.4, Column.CPU_TIME: 0.5} for name in CAST}
    told = [theatre.tick(everybody) for _ in range(20)]
    assert {f.cause for findings, _ in told for f in findings} == {None}
    assert told[-1][0][0].kind == "overload"
    assert not any(proposals for _, proposals in told)


def test_a_vm_without_a_class_is_promised_nothing():
    theatre = Theatre({**CAST, "g": "", "s": "unheard-of"})
    theatre.calm()
    assert [theatre.tick(ATTACK)[0] for _ in range(4)] == [[]] * 4


def test_an_unknown_delay_is_neither_suffering_nor_fine():
    theatre = Theatre(CAST)
    theatre.calm()
    blind = [(name, Column.CPU_DELAY) for name in ("g", "s")]
    assert [theatre.tick(ATTACK, unknown=blind)[0] for _ in range(5)] == [[]] * 5


def test_coverage_says_what_was_not_seen():
    theatre = Theatre({**CAST, "far": "gold"}, hosts={"far": "h2"})
    theatre.calm()
    theatre.dark = {"h2"}
    theatre.tick(ATTACK, unknown=[("other", Column.CPU_DELAY)])
    (finding,) = theatre.tick(ATTACK, unknown=[("other", Column.CPU_DELAY)])[0]
    assert (finding.coverage.examined, finding.coverage.of) == (4, 5)
    assert any("h2: unreachable" in word for word in finding.coverage.missing)
    assert any("cpu_delay of 1 VM" in word for word in finding.coverage.missing)


def test_a_gap_in_the_readings_is_bridged():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.tick(ATTACK)
    theatre.dark = {"h"}
    theatre.tick(ATTACK)
    theatre.dark = set()
    findings, _ = theatre.tick(ATTACK)
    assert [f.cause for f in findings] == ["bad"]


def test_neighbours_on_another_host_are_neither_victims_nor_suspects():
    theatre = Theatre({**CAST, "far": "gold"}, hosts={"far": "h2"})
    theatre.calm()
    both = {**ATTACK, "far": {Column.CPU_TIME: 1.0}}
    theatre.tick(both)
    (finding,) = theatre.tick(both)[0]
    assert finding.host == "h"
    assert "far" not in (finding.cause, *finding.victims)


def test_a_held_vm_is_no_victim_of_its_own_limit():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.hold("other", {LimitKind.CPU_CAP: 0.2}, None)
    waits = {"other": {Column.CPU_DELAY: 0.8, Column.CPU_TIME: 0.2}}
    assert [theatre.tick(waits)[0] for _ in range(10)] == [[]] * 10


def test_a_restart_of_the_vm_or_a_clock_that_stands_still_is_no_finding():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.counters["bad"][:] = 0.0
    assert theatre.tick()[0] == []
    assert theatre.tick(seconds=0.0)[0] == []
    assert theatre.tick()[0] == []


def test_vms_may_come_and_go():
    theatre = Theatre(CAST)
    theatre.calm()
    theatre.order = ["s", "g", "bad"]
    assert theatre.tick()[0] == []
    theatre.order = ["bad", "more", "g", "s"]
    theatre.tick()
    theatre.tick(ATTACK)
    assert [f.cause for f in theatre.tick(ATTACK)[0]] == ["bad"]


def test_a_hold_from_before_a_restart_is_taken_up_and_ended():
    theatre = Theatre(CAST)
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.9}, "guard|contention|h|cpu|bad")
    told = [theatre.tick() for _ in range(30)]
    releases = [p for _, proposals in told for p in proposals if p.action.verb == "release"]
    assert releases
    assert {p.action.vm for p in releases} == {"bad"}


def test_what_a_cause_has_not_added_is_not_laid_to_its_charge():
    theatre = Theatre(CAST)
    poor = {name: {Column.CPU_DELAY: 0.12} for name in ("g", "s")}
    for _ in range(40):
        theatre.tick(poor)
    for _ in range(3):
        findings, _ = theatre.tick(ATTACK)
    named = [f for f in findings if f.kind == "contention"]
    assert [f.cause for f in named] == ["bad"]
    theatre.hold("bad", {LimitKind.CPU_CAP: 0.1}, named[0].key)
    held = {**poor, "bad": {Column.CPU_TIME: 0.1, Column.CPU_DELAY: 0.9}}
    told = [theatre.tick(held)[1] for _ in range(8)]
    assert not any(told), "served as badly as before: the throttle has done its work"


def test_memory_is_taken_by_who_fills_it_though_little_of_it_is_resident():
    theatre = Theatre(CAST)

    def tick(resident, usable):
        theatre.now += 1.0
        for name, row in theatre.counters.items():
            row[Column.CPU_TIME] += 0.3
            row[Column.RUNNING], row[Column.VCPUS] = 1.0, 1.0
            row[Column.MEMORY_ASSIGNED] = GIB
            row[Column.MEMORY_RESIDENT] = resident if name in ("g", "s") else 0.3 * GIB
            row[Column.MEMORY_USABLE] = usable if name == "bad" else 0.6 * GIB
        frame = theatre.frame()
        frame.host_values[:, 2] = 0.1 * GIB
        from yamori.modules.guard.assess import assess
        from yamori.modules.guard.sense import Observation

        observation = Observation(frame=frame, view=theatre.view(), missing={})
        theatre.memory, findings = assess(observation, theatre.memory, theatre.settings)
        return findings

    for _ in range(30):
        assert tick(0.5 * GIB, 0.7 * GIB) == []
    told = [tick((0.5 - 0.05 * i) * GIB, (0.7 - 0.15 * i) * GIB) for i in range(1, 5)]
    assert {(f.resource, f.cause) for findings in told for f in findings} == {("memory", "bad")}


@settings(max_examples=15, deadline=None)
@given(st.permutations(list(CAST)))
def test_the_order_of_rows_does_not_change_the_verdict(order):
    straight, shuffled = Theatre(CAST), Theatre(CAST, order=list(order))
    for theatre in (straight, shuffled):
        theatre.calm(20)
        theatre.tick(ATTACK)
    one, other = (theatre.tick(ATTACK)[0] for theatre in (straight, shuffled))
    assert [(f.cause, f.key, f.nature) for f in one] == [(f.cause, f.key, f.nature) for f in other]


def test_memory_is_a_value_that_judging_does_not_change():
    theatre = Theatre(CAST)
    theatre.calm()
    before = theatre.memory
    bits, mean = before.record.bits.copy(), before.baseline.mean.copy()
    theatre.tick(ATTACK)
    assert (before.record.bits == bits).all()
    assert (before.baseline.mean == mean).all()


@pytest.mark.parametrize("victims", [HURT, {"g": {Column.CPU_DELAY: 0.3}}])
def test_two_causes_are_both_named(victims):
    theatre = Theatre({**CAST, "worse": "bronze"})
    theatre.calm()
    both = {**victims, "bad": BURN["bad"], "worse": BURN["bad"]}
    findings = list(itertools.chain.from_iterable(theatre.tick(both)[0] for _ in range(3)))
    assert {f.cause for f in findings} == {"bad", "worse"}


def test_a_fleet_without_vms_is_fine():
    assert Theatre({}).tick() == ([], [])


def test_hosts_without_a_reading_are_named_but_not_judged():
    theatre = Theatre(CAST)
    theatre.dark = {"h"}
    assert theatre.tick()[0] == []
    assert HostId("h") not in theatre.memory.frame.hosts
