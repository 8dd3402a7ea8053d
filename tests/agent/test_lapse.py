# ruff: noqa: ASYNC240, ASYNC110 -- a test may look at small files in its loop, and wait by looking again
"""Limits end by themselves: in time, at what held before, and never over another hand's setting."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.agent.lapse_world import CAP, IOPS, VM_A, WEIGHT, Clock, Ear, World
from yamori.agent.lapse import BLIND_AFTER, LapsingLimits, Outcome, boot_id, boottime
from yamori.model.errors import Conflict, Failed, Invalid, NotFound, Rejected, Unreachable, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lapses.json"


@pytest.fixture
def lapsing(world: World, clock: Clock, ear: Ear, path: Path) -> LapsingLimits:
    return LapsingLimits(world, world, path, tell=ear, clock=clock, boot="this", runs=world.runs)


async def test_a_limit_goes_back_to_what_held_before_at_its_end_and_not_earlier(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    world.held[VM_A][CAP] = 2.0
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    clock.now += 59
    assert await lapsing.tend() == pytest.approx(1.0)
    assert world.held[VM_A][CAP] == 0.5
    clock.now += 1
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 2.0
    assert lapsing.pending == ()
    assert ear.outcomes == ["ended"]


async def test_what_was_unlimited_is_unlimited_again(lapsing: LapsingLimits, world: World, clock: Clock) -> None:
    await lapsing.set(VM_A, {CAP: 0.5, IOPS: 100.0}, lapse_s=60)
    clock.now += 61
    await lapsing.tend()
    assert world.held[VM_A][CAP] is None
    assert world.held[VM_A][IOPS] is None


async def test_setting_again_renews_and_remembers_what_held_before_the_first_time(
    lapsing: LapsingLimits, world: World, clock: Clock
) -> None:
    world.held[VM_A][CAP] = 2.0
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    clock.now += 50
    await lapsing.set(VM_A, {CAP: 0.25}, lapse_s=60)
    clock.now += 50
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 0.25
    clock.now += 10
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 2.0


async def test_setting_without_a_lapse_makes_the_limit_permanent(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5, IOPS: 100.0}, lapse_s=60)
    await lapsing.set(VM_A, {CAP: 0.5})
    clock.now += 1000
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 0.5
    assert world.held[VM_A][IOPS] is None
    assert ear.outcomes == ["ended"]


async def test_lifting_early_forgets_the_lapse(lapsing: LapsingLimits, world: World, clock: Clock) -> None:
    world.held[VM_A][CAP] = 2.0
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    await lapsing.set(VM_A, {CAP: None})
    assert lapsing.pending == ()
    clock.now += 100
    await lapsing.tend()
    assert world.held[VM_A][CAP] is None


async def test_what_another_hand_has_set_meanwhile_is_left_alone_and_said(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    world.held[VM_A][CAP] = 1.5
    clock.now += 61
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 1.5
    assert ear.outcomes == ["left"]
    assert "another hand" in ear.notes[0].words
    assert lapsing.pending == ()


async def test_a_renewal_over_another_hand_s_value_goes_back_to_that_value(
    lapsing: LapsingLimits, world: World, clock: Clock
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    world.held[VM_A][CAP] = 1.5
    await lapsing.set(VM_A, {CAP: 0.25}, lapse_s=60)
    clock.now += 61
    await lapsing.tend()
    assert world.held[VM_A][CAP] == 1.5


async def test_a_value_in_the_hypervisor_s_own_units_is_still_ours(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.0149}, lapse_s=60)
    assert world.held[VM_A][CAP] == 0.01
    clock.now += 61
    await lapsing.tend()
    assert world.held[VM_A][CAP] is None
    assert ear.outcomes == ["ended"]


async def test_a_weight_of_one_and_no_weight_are_the_same(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {WEIGHT: 0.5}, lapse_s=60)
    world.held[VM_A][WEIGHT] = 1.0
    clock.now += 61
    await lapsing.tend()
    assert ear.outcomes == ["ended"]


async def test_the_lapse_of_a_vm_that_is_gone_is_forgotten(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    del world.held[VM_A]
    clock.now += 61
    await lapsing.tend()
    assert ear.outcomes == ["gone"]
    assert lapsing.pending == ()


async def test_a_vm_that_does_not_run_has_taken_its_limit_along(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    world.running = False
    clock.now += 61
    await lapsing.tend()
    assert ear.outcomes == ["gone"]
    with pytest.raises(Conflict):
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)


async def test_what_cannot_be_put_back_is_tried_again_with_growing_pauses(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    world.refusal = Rejected("not now")
    clock.now += 61
    pauses = [await lapsing.tend()]
    for _ in range(10):
        clock.now += pauses[-1]
        pauses.append(await lapsing.tend())
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert max(pauses) == 300.0
    assert set(ear.outcomes) == {"failed"}
    world.refusal = None
    clock.now += 300
    await lapsing.tend()
    assert world.held[VM_A][CAP] is None
    assert ear.outcomes[-1] == "ended"


async def test_one_that_fails_in_an_unforeseen_way_does_not_keep_the_others_from_ending(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    other = VMId("22222222-2222-4222-8222-222222222222")
    world.held[other] = dict.fromkeys(LimitKind)
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=50)
    await lapsing.set(other, {CAP: 0.5}, lapse_s=60)
    world.held[VM_A] = None  # type: ignore[assignment]
    clock.now += 61
    await lapsing.tend()
    assert ear.outcomes == ["failed", "ended"]
    assert world.held[other][CAP] is None


async def test_what_holds_of_two_cards_that_differ_is_put_back_in_the_end(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    world.hidden = {CAP: "devices differ"}
    clock.now += 61
    for _ in range(BLIND_AFTER + 1):
        clock.now += await lapsing.tend() if lapsing.pending else 0
    assert ear.outcomes[:BLIND_AFTER] == ["failed"] * BLIND_AFTER
    assert world.held[VM_A][CAP] is None


async def test_a_refused_setting_is_not_remembered_and_an_earlier_one_still_is(
    lapsing: LapsingLimits, world: World
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    before = lapsing.pending
    world.refusal = Unsupported("limits.disk_iops", "no")
    with pytest.raises(Unsupported):
        await lapsing.set(VM_A, {CAP: 0.25, IOPS: 10.0}, lapse_s=60)
    assert lapsing.pending == before


async def test_a_failed_setting_is_remembered_for_it_may_hold(lapsing: LapsingLimits, world: World) -> None:
    world.refusal = Unreachable("gone")
    with pytest.raises(Unreachable):
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    assert [lapse.kind for lapse in lapsing.pending] == [CAP]


async def test_a_kind_that_cannot_be_read_cannot_be_set_for_a_time(lapsing: LapsingLimits, world: World) -> None:
    world.hidden = {CAP: "the scheduler knows no cap"}
    with pytest.raises(Unsupported, match="knows no cap"):
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    assert world.writes == []


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e12])
async def test_a_lapse_without_sense_is_invalid(lapsing: LapsingLimits, world: World, seconds: float) -> None:
    with pytest.raises(Invalid):
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=seconds)
    assert world.writes == []


async def test_an_unknown_vm_is_not_found(lapsing: LapsingLimits) -> None:
    with pytest.raises(NotFound):
        await lapsing.set(VMId("no such vm"), {CAP: 0.5}, lapse_s=60)
    assert lapsing.pending == ()


async def test_nothing_is_applied_when_it_cannot_be_remembered(
    lapsing: LapsingLimits, world: World, path: Path
) -> None:
    path.with_name(f".{path.name}.new").mkdir()
    with pytest.raises(Failed):
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    assert world.writes == []


async def test_the_next_life_of_the_agent_ends_what_the_last_one_began(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear, path: Path
) -> None:
    world.held[VM_A][CAP] = 2.0
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    clock.now += 3600
    again = LapsingLimits(world, world, path, tell=ear, clock=clock, boot="this")
    await again.load()
    await again.tend()
    assert world.held[VM_A][CAP] == 2.0


async def test_a_host_that_was_started_anew_has_no_limits_to_end(
    lapsing: LapsingLimits, world: World, clock: Clock, ear: Ear, path: Path
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    again = LapsingLimits(world, world, path, tell=ear, clock=clock, boot="next")
    await again.load()
    assert again.pending == ()
    assert ear.outcomes == ["gone"]
    writes = len(world.writes)
    clock.now += 100
    await again.tend()
    assert len(world.writes) == writes


ROW = {"vm": "a", "kind": "cpu_cap", "before": 1, "ours": [], "until": 1}
BAD_ROWS = [{}, {"vm": 1}, {"kind": "?"}, {"before": float("nan")}, {"until": float("inf")}, {"ours": ["1"]}]
DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"version": 2, "boot": "this", "lapses": []}',
    b'{"version": 1, "boot": 3, "lapses": []}',
    *(
        json.dumps({"version": 1, "boot": "this", "lapses": [ROW | bad if bad else bad]}).encode()
        for bad in BAD_ROWS
    ),
    b"[" * 100_000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
async def test_a_damaged_file_is_kept_for_a_human_and_said_aloud(
    lapsing: LapsingLimits, ear: Ear, path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    await lapsing.load()
    assert lapsing.pending == ()
    assert [note.outcome for note in ear.notes] == [Outcome.LOST]
    assert path.with_name(f"{path.name}.damaged").read_bytes() == content


async def test_the_file_is_private_and_says_nothing_once_nothing_is_pending(
    lapsing: LapsingLimits, clock: Clock, path: Path
) -> None:
    await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60)
    assert path.stat().st_mode & 0o777 == 0o600
    clock.now += 61
    await lapsing.tend()
    assert json.loads(path.read_text())["lapses"] == []


async def test_all_end_when_the_agent_is_removed(lapsing: LapsingLimits, world: World) -> None:
    await lapsing.set(VM_A, {CAP: 0.5, IOPS: 50.0}, lapse_s=3600)
    await lapsing.end_all()
    assert world.held[VM_A][CAP] is None
    assert world.held[VM_A][IOPS] is None
    assert lapsing.pending == ()


async def test_the_loop_ends_limits_without_being_asked(world: World, ear: Ear, path: Path) -> None:
    lapsing = LapsingLimits(world, world, path, tell=ear)
    loop = asyncio.create_task(lapsing.run())
    try:
        await lapsing.set(VM_A, {CAP: 0.5}, lapse_s=0.2)
        async with asyncio.timeout(30):
            while lapsing.pending:
                await asyncio.sleep(0.02)
    finally:
        loop.cancel()
    assert world.held[VM_A][CAP] is None


async def test_many_at_once_each_end_at_their_own_time(lapsing: LapsingLimits, world: World, clock: Clock) -> None:
    vms = [VMId(f"{number:08x}-0000-4000-8000-000000000000") for number in range(20)]
    for vm in vms:
        world.held[vm] = dict.fromkeys(LimitKind)
    await asyncio.gather(*(lapsing.set(vm, {CAP: 0.5}, lapse_s=10.0 * n + 10) for n, vm in enumerate(vms)))
    for number in range(20):
        clock.now = 1000.0 + 10 * number + 10
        await lapsing.tend()
        assert len(lapsing.pending) == 19 - number


async def test_a_caller_who_goes_away_in_the_middle_leaves_a_limit_that_ends(
    lapsing: LapsingLimits, world: World, clock: Clock
) -> None:
    entered, never = asyncio.Event(), asyncio.Event()
    write = world.set

    async def slow(*args: object, **kwargs: object) -> None:
        await write(*args, **kwargs)  # type: ignore[arg-type]
        entered.set()
        await never.wait()

    world.set = slow  # type: ignore[method-assign,assignment]
    call = asyncio.create_task(lapsing.set(VM_A, {CAP: 0.5}, lapse_s=60))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    world.set = write  # type: ignore[method-assign]
    clock.now += 61
    await lapsing.tend()
    assert world.held[VM_A][CAP] is None


def test_the_clock_of_lapses_goes_on_and_the_boot_has_a_name() -> None:
    assert boottime() > 0
    assert len(boot_id()) == 36
