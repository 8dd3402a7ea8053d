"""Interfaces come, go, change their names and owners, and are gone round: what holds at a port holds there."""

from dataclasses import replace

import pytest

from tests.agent.filter.one_port import DNS, HTTP, PLAIN, fence, heal, nft, syn
from tests.agent.filter.stage import PEER, TAP, Stage
from tests.agent.filter.test_spoofing import OTHER4
from yamori.agent.filter.layout import shard_of
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.program import chain_of, stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.watch import Fault
from yamori.agent.filter.way import Way
from yamori.model.filter import Filter
from yamori.model.filter_rule import Direction

pytestmark = pytest.mark.lab


def test_a_filter_may_be_there_before_its_interface(stage: Stage) -> None:
    early = replace(PLAIN, port="vm9/0")
    stage.with_engine(Way.PLAIN, lambda engine: engine.apply([Attachment(interface="late0", filter=early)]))
    assert stage.differences(early, "late0") == []
    stage.host.ip(f"link set {TAP} down")
    stage.host.ip(f"link set {TAP} name late0")
    stage.host.ip("link set late0 up")
    filtered_from_the_first_frame_on(stage, early, "late0")


def test_an_interface_made_anew_under_its_name_is_filtered_from_its_first_frame_on(stage: Stage) -> None:
    """As when a VM starts again, or comes back by a migration: same name, other number."""
    stage.apply(PLAIN)
    assert stage.say([DNS, HTTP]) == [True, False]
    for _ in range(2):
        stage.plug_anew(forget_hooks)
        filtered_from_the_first_frame_on(stage, PLAIN, TAP)
    ready = "" if stage.seat is not Seat.DEVICE else stage.host.sh("nft list map bridge yamori ready")
    assert ready.count("goto go") <= 1, "numbers of interfaces that are gone are forgotten"


def forget_hooks(stage: Stage) -> None:
    """Do what Linux before 6.16 does when an interface goes: the chains that hang there go with it."""
    if stage.seat is Seat.NAME:
        return
    gate = stem(PLAIN.port)
    hanging = [gate] if stage.seat is Seat.BRIDGE else [chain_of(PLAIN.port, way) for way in Direction]
    for chain in hanging:
        nft(stage, *(f"{verb} chain netdev {shard_of(gate).table} {chain}" for verb in ("flush", "delete")))


def filtered_from_the_first_frame_on(stage: Stage, wanted: Filter, interface: str) -> None:
    if stage.seat is Seat.DEVICE:
        missed = fence(stage)
        assert not stage.send_without_last(Direction.OUT, DNS)
        assert not stage.send_without_last(Direction.IN, syn(OTHER4))
        assert fence(stage) == missed + 2, "what has no rules yet is cut off, both ways"
    else:
        assert stage.say([DNS, HTTP]) == [True, False]
        assert stage.say([syn(OTHER4), replace(syn(OTHER4), target_mac=PEER)]) == [True, False]
    if stage.seat is not Seat.NAME:
        assert Fault.MISSING in {each.fault for each in stage.differences(wanted, interface)}
        attached = Attachment(interface=interface, filter=wanted)
        stage.with_engine(Way.PLAIN, lambda engine: engine.apply([attached]))
    assert stage.differences(wanted, interface) == []
    assert stage.say([DNS, HTTP]) == [True, False]


def test_what_is_sent_round_to_be_slowed_down_is_filtered_too(stage: Stage) -> None:
    """A detour by act_mirred brings frames back behind the hooks at their interface."""
    stage.apply(PLAIN)
    stage.say([DNS] * 3)
    stage.detour()
    if stage.seat is not Seat.BRIDGE:
        assert not stage.send_without_last(Direction.OUT, DNS), "unannounced, it is cut off"
        assert fence(stage) == 1
    round_about = Attachment(interface=TAP, filter=PLAIN, detoured=True)
    for _ in range(2):
        stage.with_engine(Way.PLAIN, lambda engine: engine.apply([round_about]))
        assert stage.differences(PLAIN, detoured=True) == []
        assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.say([syn(OTHER4), replace(syn(OTHER4), target_mac=PEER)]) == [True, False]
    stage.end_detour()
    assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.counts(PLAIN.port)[Direction.OUT, "dns"] == 6
    stage.apply(PLAIN)
    assert stage.differences(PLAIN) == []
    assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.counts(PLAIN.port)[Direction.OUT, "dns"] == 7


def test_two_ports_change_places_in_one_batch(stage: Stage) -> None:
    """Each chain hangs at the other's interface afterwards, and nobody's is lost."""
    other = replace(PLAIN, port="vm2/0", rules=())
    here, there = Attachment(interface=TAP, filter=PLAIN), Attachment(interface="t9", filter=other)
    stage.with_engine(Way.PLAIN, lambda engine: engine.apply([here, there]))
    assert stage.say([DNS]) == [True]
    turned = [replace(here, interface="t9"), replace(there, interface=TAP)]
    stage.with_engine(Way.PLAIN, lambda engine: engine.apply(turned))
    assert stage.say([DNS]) == [False]
    stage.with_engine(Way.PLAIN, lambda engine: engine.apply([here, there]))
    assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.differences_of([here, there]) == []


@pytest.mark.parametrize("other", Seat)
def test_rules_move_from_one_seat_to_another_without_a_gap(stage: Stage, other: Seat) -> None:
    """As when a host's kernel is another one after its restart, and its tables were kept."""
    stage.apply(PLAIN)
    stage.seat = other
    heal(stage, PLAIN)
    assert stage.differences(PLAIN) == []
    assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.say([syn(OTHER4), replace(syn(OTHER4), target_mac=PEER)]) == [True, False]
    stage.with_engine(Way.PLAIN, lambda engine: engine.withdraw())
    assert stage.host.sh("nft list ruleset") == ""


def test_a_name_that_another_vm_takes_over_leads_to_its_own_filter(stage: Stage) -> None:
    stage.apply(PLAIN)
    nothing = replace(PLAIN, port="vm2/0", rules=())
    stage.apply(nothing)
    assert stage.say([DNS]) == [False]
    stage.with_engine(Way.PLAIN, lambda engine: engine.remove(PLAIN.port, TAP))
    assert stage.differences(nothing) == []
    stage.with_engine(Way.PLAIN, lambda engine: engine.remove(nothing.port, TAP))
    assert stage.say([DNS, HTTP]) == [True, True]
    stage.with_engine(Way.PLAIN, lambda engine: engine.sweep())
    left = stage.host.sh("nft list ruleset")
    assert "tap0" not in left
    assert "set s4-" not in left, "sets that nobody uses are swept"
    assert "netdev" not in left, "tables without a port too"
