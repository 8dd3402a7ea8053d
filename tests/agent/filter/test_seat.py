"""Where rules sit: what the kernel has is found out, and going from one seat to another holds at every step."""

import errno
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.agent.filter.one_port import DNS, HTTP, PLAIN, syn
from tests.agent.filter.stage import TAP, Stage
from tests.agent.filter.test_spoofing import OTHER4
from tests.agent.functions.space import why_not
from yamori.agent.filter import seat as seats
from yamori.agent.filter import wire
from yamori.agent.filter.engine import Engine
from yamori.agent.filter.layout import Layout, shard_of
from yamori.agent.filter.messages import EGRESS, read_chain
from yamori.agent.filter.port import Attachment
from yamori.agent.filter.program import stem
from yamori.agent.filter.seat import Seat
from yamori.agent.filter.way import Means, Way, find_out
from yamori.agent.filter.wire import Batch, Nft, NftRefused
from yamori.model.errors import Defect

pytestmark = pytest.mark.lab
MANY = [Attachment(interface=f"t{n}", filter=replace(PLAIN, port=f"vm{n}/0")) for n in range(100, 106)]
HERE = Attachment(interface=TAP, filter=PLAIN)


class Older(Nft):
    """A kernel that refuses chains at interfaces: ``no`` is a hook's number, or None for those not there yet."""

    def __init__(self, no: int | None) -> None:
        self._no = no

    def commit(self, batch: Batch, *, trial: bool = False) -> None:
        for kind, family, _, body in batch.changes:
            hook = read_chain(body).hook if (kind, family) == (wire.NEW_CHAIN, wire.NETDEV) else None
            if hook is not None and (hook.number == self._no or (self._no is None and hook.device != "lo")):
                raise NftRefused("", number=errno.EOPNOTSUPP)
        super().commit(batch, trial=trial)


@pytest.fixture
def stage() -> Iterator[Stage]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    made = Stage(shown_to_ip=False)
    yield made
    made.close()


def found_by(stage: Stage, nft: Nft) -> Means:
    def look() -> Means:
        with nft:
            return find_out(nft)

    found = stage.host.run(look)
    assert stage.host.sh("nft list ruleset") == "", "finding out leaves nothing"
    if found.way is not Way.PLAIN:
        pytest.skip("this kernel tracks connections on a bridge")
    return found


def test_a_kernel_without_egress_hooks_has_its_rules_at_the_bridge(stage: Stage) -> None:
    found = found_by(stage, Older(EGRESS))
    assert found.seat is Seat.BRIDGE
    assert "egress hooks" in found.missing


def test_a_kernel_whose_hooks_need_an_interface_has_the_fence_for_those_not_there(stage: Stage) -> None:
    here = found_by(stage, Nft())
    if here.seat is Seat.BRIDGE:
        pytest.skip(f"this kernel has no usable hooks at interfaces: {dict(here.missing)}")
    found = found_by(stage, Older(None))
    assert found.seat is Seat.DEVICE
    assert "hooks by name" in found.missing


@pytest.mark.parametrize("wrong", [lambda: 0, lambda: _denied()], ids=["wrong", "denied"])
def test_a_kernel_that_reads_outgoing_frames_wrong_is_not_believed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    monkeypatch.setattr(seats, "_counted_at_egress", wrong)
    found = found_by(stage, Nft())
    assert found.seat is Seat.BRIDGE
    assert {"egress offsets", "egress hooks", "device hooks"} & found.missing.keys()


def _denied() -> int:
    raise PermissionError(errno.EPERM, "not permitted")


def test_tracked_connections_are_not_known_at_interfaces() -> None:
    for way in (Way.TRACKED, Way.MARKED):
        with pytest.raises(Defect):
            Layout(way=way, seat=Seat.NAME)


def test_ports_are_spread_over_many_tables() -> None:
    tables = {shard_of(stem(f"vm{n}/0")).table for n in range(2_000)}
    assert len(tables) > 200


def holds(stage: Stage) -> bool:
    """Whether what is allowed passes, and what is not does not, both ways."""
    return stage.say([DNS, HTTP]) == [True, False] and stage.say(
        [syn(OTHER4), replace(syn(OTHER4), target_mac=b"\x02\xaa\0\0\0\x77")]
    ) == [True, False]


class Mortal(Nft):
    """A socket whose process is killed after so many batches."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def commit(self, batch: Batch, *, trial: bool = False) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super().commit(batch, trial=trial)
        self._left -= len(batch) > 0


def _rebuild(seat: Seat, batches: int) -> None:
    with Mortal(batches) as nft:
        Engine(nft, Way.PLAIN, seat=seat).rebuild([HERE, *MANY])
    os._exit(0)


@pytest.mark.parametrize("after", Seat)
@pytest.mark.parametrize("before", Seat)
def test_a_kill_after_any_batch_of_a_rebuild_leaves_every_port_filtered(
    stage: Stage, before: Seat, after: Seat
) -> None:
    """Each table is replaced at once: between two of them either the old or the new rules hold, or both."""
    context = multiprocessing.get_context("fork")
    steps = 0
    while True:
        stage.seat = before
        stage.with_engine(Way.PLAIN, lambda engine: engine.rebuild([HERE, *MANY]))
        assert holds(stage)

        def killed(after_: int = steps) -> int | None:
            child = context.Process(target=_rebuild, args=(after, after_))
            child.start()
            child.join(60)
            return child.exitcode

        code = stage.host.run(killed)
        assert holds(stage)
        stage.seat = after
        stage.with_engine(Way.PLAIN, lambda engine: engine.rebuild([HERE, *MANY]))
        assert stage.differences_of([HERE, *MANY]) == []
        if code == 0:
            break
        assert code == -signal.SIGKILL
        steps += 1
    tables = {shard_of(stem(each.filter.port)) for each in (HERE, *MANY)}
    assert steps >= 1
    assert after is not Seat.NAME or steps == len(tables) + 1, "one table after the other, the bridge's last"
