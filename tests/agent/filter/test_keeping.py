"""What holds stays, whole: over kills, over another hand's commands, and beside another hand's tables."""

import multiprocessing
import os
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.agent.filter.one_port import DNS, HTTP, PLAIN, fence, heal, nft, syn
from tests.agent.filter.stage import TAP, Stage
from tests.agent.filter.test_spoofing import OTHER4
from yamori.agent.filter.engine import Engine
from yamori.agent.filter.layout import shard_of
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.program import chain_of, stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.watch import Difference, Fault, foreign_chains, port_differences
from yamori.agent.filter.way import Way, find_out
from yamori.agent.filter.wire import Nft, NftRefused
from yamori.model.errors import Invalid, Unsupported
from yamori.model.filter import Filter, Rates, Replies, fallback
from yamori.model.filter_rule import UDP, Block, Direction, Rate, Span

pytestmark = pytest.mark.lab
FOREIGN = """
table bridge foreign {
 set bad { type ether_addr; elements = { 02:00:00:00:00:66 } }
 chain c { type filter hook forward priority 0; policy accept; ether saddr @bad counter drop; }
}
table inet other {
 chain input { type filter hook input priority 0; policy accept; tcp dport 22 counter accept; }
}
"""


def test_what_was_applied_is_read_back_without_a_difference(stage: Stage) -> None:
    for _ in range(2):
        stage.apply(PLAIN)
        assert stage.differences(PLAIN) == []
    assert stage.say([DNS, HTTP]) == [True, False]
    assert stage.differences(PLAIN) == [], "counting changes nothing"


def test_a_flush_by_another_hand_is_seen_and_healed(stage: Stage) -> None:
    stage.apply(PLAIN)
    assert stage.say([HTTP]) == [False]
    nft(stage, "flush ruleset")
    assert Difference(fault=Fault.MISSING, where="yamori") in stage.differences(PLAIN)
    assert stage.say([HTTP]) == [True], "this is what a flush does"
    stage.apply(PLAIN)
    assert stage.differences(PLAIN) == []
    assert stage.say([DNS, HTTP]) == [True, False]


def test_where_the_kernel_can_a_flush_by_another_hand_does_nothing_while_we_live_nor_our_death(
    stage: Stage,
) -> None:
    def live(_: Engine) -> None:
        with Nft() as asked:
            if not find_out(asked).owned:
                pytest.skip("this kernel has no tables that outlive their owner")
            engine = Engine(asked, Way.PLAIN, seat=stage.seat, owned=True)
            engine.apply([Attachment(interface=TAP, filter=PLAIN)])
            subprocess.run(["nft", "flush", "ruleset"], check=True, timeout=30)
            assert port_differences(asked, engine.layout, Attachment(interface=TAP, filter=PLAIN)) == []
            refused = subprocess.run(["nft", "delete", "table", "bridge", "yamori"], check=False, timeout=30)
            assert refused.returncode != 0
            engine.apply([Attachment(interface=TAP, filter=PLAIN)])

    for _ in range(2):
        stage.with_engine(Way.PLAIN, live)
        assert stage.differences(PLAIN) == [], "it outlives its owner"
        assert stage.say([DNS, HTTP]) == [True, False]

    def take_up(_: Engine) -> None:
        with Nft() as asked:
            Engine(asked, Way.PLAIN, seat=stage.seat, owned=True).establish()
            subprocess.run(["nft", "flush", "ruleset"], check=True, timeout=30)

    stage.with_engine(Way.PLAIN, take_up)
    assert "table bridge yamori" in stage.host.sh("nft list tables")
    assert stage.differences(PLAIN) == []


CHAIN, GATE = chain_of(PLAIN.port, Direction.OUT), stem(PLAIN.port)
ANYWHERE = {
    "a rule too many": (f"insert rule {{table}} {CHAIN}6 accept", CHAIN + "6"),
    "rules gone": (f"flush chain {{table}} {CHAIN}", CHAIN),
    "the way in gone": ("flush chain bridge yamori from", "from"),
    "another way in": ("insert rule bridge yamori to accept", "to"),
    "the interface taken out": (f'delete element bridge yamori out {{{{ "{TAP}" }}}}', f"out/{TAP}"),
    "a chain of somebody else's": ("add chain bridge yamori mine", "mine"),
    "a base chain of somebody else's": (
        "add chain {gates} mine {{ type filter hook ingress device lo priority 0 ; }}",
        "mine",
    ),
}
AT_BRIDGE = {"the gate gone": (f"flush chain {{gates}} {GATE}", GATE)}
AT_DEVICE = {
    "all rules gone": ("flush table {table}", CHAIN + "6-head"),
    "the table gone": ("delete table {table}", CHAIN),
    "the fence gone": ("flush chain bridge yamori stop", "stop"),
    "another card let go": ('add element bridge yamori in {{ "eth9" : goto go }}', "in/eth9"),
}
DAMAGE = [(each, ANYWHERE | AT_BRIDGE) for each in [Seat.BRIDGE]]
DAMAGE += [(each, ANYWHERE | AT_DEVICE) for each in (Seat.DEVICE, Seat.NAME)]


@pytest.mark.parametrize(
    ("stage", "command", "where"),
    [pytest.param(seat, *each, id=f"{seat}-{what}") for seat, all_ in DAMAGE for what, each in all_.items()],
    indirect=["stage"],
)
def test_another_hand_in_our_table_is_seen_and_undone(stage: Stage, command: str, where: str) -> None:
    stage.apply(PLAIN)
    gates = f"netdev {shard_of(GATE).table}"
    nft(stage, command.format(table=stage.table_of(PLAIN.port), gates=gates))
    assert where in {each.where for each in stage.differences(PLAIN)}
    heal(stage, PLAIN)
    assert stage.differences(PLAIN) == []
    assert stage.say([DNS, HTTP]) == [True, False]


@pytest.mark.parametrize("stage", [Seat.DEVICE, Seat.NAME], indirect=True)
def test_what_has_not_passed_its_card_s_own_rules_is_dropped_at_the_bridge(stage: Stage) -> None:
    stage.apply(PLAIN)
    nft(stage, f"flush table {stage.table_of(PLAIN.port)}")
    assert not stage.send_without_last(Direction.OUT, DNS)
    assert fence(stage) == 1
    stage.apply(PLAIN)
    assert stage.say([DNS, HTTP]) == [True, False]


def test_other_tables_stay_and_are_reported(stage: Stage) -> None:
    def add() -> None:
        subprocess.run(["nft", "-f", "-"], input=FOREIGN, text=True, check=True, timeout=30)

    stage.host.run(add)
    tables = ("bridge foreign", "inet other")
    before = [stage.host.sh(f"nft -s list table {each}") for each in tables]
    stage.apply(PLAIN)
    heal(stage, PLAIN)
    stage.with_engine(Way.PLAIN, lambda engine: engine.sweep())
    assert [stage.host.sh(f"nft -s list table {each}") for each in tables] == before

    def look(engine: Engine) -> list[tuple[str, str]]:
        with Nft() as asked:
            return [(each.family, each.untrusted_table) for each in foreign_chains(asked)]

    assert sorted(stage.with_engine(Way.PLAIN, look)) == [("bridge", "foreign"), ("inet", "other")]
    stage.with_engine(Way.PLAIN, lambda engine: engine.withdraw())
    assert [stage.host.sh(f"nft -s list table {each}") for each in tables] == before
    assert "yamori" not in stage.host.sh("nft list tables")


def _churn(filters: list[Filter], seat: Seat, begun: Any) -> None:
    """In a process of its own, in the host's namespace: change one port's Filter as fast as it goes."""
    with Nft() as asked:
        engine = Engine(asked, Way.PLAIN, seat=seat)
        for turn in range(100_000):
            engine.apply([Attachment(interface=TAP, filter=filters[turn % len(filters)])])
            if turn == 2:
                begun.set()


def test_a_kill_at_any_moment_leaves_one_rule_set_whole(stage: Stage) -> None:
    """Two Filters in turn, killed without warning: what is there is the one or the other, never a mixture."""
    other = replace(PLAIN, rules=PLAIN.rules[:1], rates=Rates(), blocks=())
    context = multiprocessing.get_context("fork")
    seen = set()
    for delay in [n * 0.0017 for n in range(12)]:

        def begin() -> tuple[Any, Any]:
            begun = context.Event()
            child = context.Process(target=_churn, args=([PLAIN, other], stage.seat, begun), daemon=True)
            child.start()
            return child, begun

        child, begun = stage.host.run(begin)
        assert begun.wait(60)
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        stage.host.run(child.join)
        which = [not stage.differences(each) for each in (PLAIN, other)]
        assert which.count(True) == 1, which
        seen.add(which.index(True))
        assert stage.say([DNS, HTTP]) == [True, False]
    assert seen, "at least one of them was seen whole"


def test_a_refused_part_leaves_everything_as_it_was(stage: Stage) -> None:
    stage.apply(PLAIN)
    before = stage.host.sh("nft list ruleset")
    nft(stage, "add table bridge yamori")
    demanding = replace(PLAIN, port="vm2/0", replies=Replies.PROVEN)
    with pytest.raises(Unsupported, match="proven"):
        stage.with_engine(
            Way.PLAIN,
            lambda engine: engine.apply(
                [
                    Attachment(interface=TAP, filter=replace(PLAIN, rules=())),
                    Attachment(interface="t9", filter=demanding),
                ]
            ),
        )
    with pytest.raises(NftRefused):
        stage.with_engine(Way.TRACKED, lambda engine: engine.preview(Attachment(interface=TAP, filter=PLAIN)))
    for name in ("tap*", "", "a" * 16, "x/y", 'a"b', "drop;", ".."):
        with pytest.raises(Invalid):
            stage.with_engine(
                Way.PLAIN, lambda engine, n=name: engine.apply([Attachment(interface=n, filter=PLAIN)])
            )
    assert stage.host.sh("nft list ruleset") == before


def test_counts_go_on_when_a_filter_changes(stage: Stage) -> None:
    stage.apply(PLAIN)
    stage.say([DNS] * 5)
    for wanted in (replace(PLAIN, rules=PLAIN.rules[:1]), PLAIN, PLAIN):
        stage.apply(wanted)
        assert stage.counts(PLAIN.port)[Direction.OUT, "dns"] == 5
    stage.say([DNS] * 2)
    assert stage.counts(PLAIN.port)[Direction.OUT, "dns"] == 7


def test_a_block_ends_by_itself_though_nobody_is_left_to_end_it(stage: Stage) -> None:
    until = datetime.now(UTC) + timedelta(seconds=4)
    block = Block(id="flood", direction=Direction.OUT, until=until, protocol=UDP, ports=(Span(low=53, high=53),))
    stage.apply(replace(PLAIN, blocks=(block,)))
    assert stage.say([DNS]) == [False]
    while datetime.now(UTC) < until:
        time.sleep(0.2)
    assert stage.say([DNS]) == [True]


def test_rates_hold_back_what_is_too_much(stage: Stage) -> None:
    slow = Rate(per_second=1, burst=3)
    stage.apply(replace(PLAIN, rates=Rates(packets_out=Rate(per_second=1, burst=20), peer_in=slow)))
    came = stage.say([DNS] * 12)
    assert all(came)
    syns = [syn(peer) for peer in (OTHER4, OTHER4, OTHER4, OTHER4, OTHER4, OTHER4, "10.0.0.8")]
    came = stage.say(syns)
    assert came[:3] == [True] * 3
    assert came[-1], "another peer has a rate of its own"
    assert came.count(False) >= 1
    counted = stage.counts(PLAIN.port)
    assert counted[Direction.IN, "port:rate-peer"] == came.count(False)


def test_the_fallback_closes_or_opens_and_keeps_identity(stage: Stage) -> None:
    stage.apply(fallback(PLAIN))
    assert stage.say([DNS]) == [False]


def test_finding_out_leaves_nothing_and_chooses_the_best_that_there_is(stage: Stage) -> None:
    def probe(engine: Engine) -> Any:
        with Nft() as asked:
            return find_out(asked)

    means = stage.with_engine(Way.PLAIN, probe)
    assert means.way is not Way.MARKED, "bridged packets are not shown to the IP layer here"
    assert stage.host.sh("nft list ruleset") == ""
    if means.way is Way.PLAIN:
        assert "bridge tracking" in means.missing
    shown = Stage(shown_to_ip=True)
    try:
        best = shown.with_engine(Way.PLAIN, probe)
        assert best.way in (Way.TRACKED, Way.MARKED)
    finally:
        shown.close()
