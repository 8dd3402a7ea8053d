"""The steps on the simulator: what they refuse, what they leave, what another hand has done."""

import pytest

from tests.modules.guard.bench import Bench
from yamori.drivers.simulator import Fault
from yamori.model.actions import Release
from yamori.model.errors import (
    Conflict,
    Invalid,
    NotPermitted,
    Rejected,
    Unreachable,
    Unsupported,
)
from yamori.model.limits import LimitKind
from yamori.modules.guard.steps import ReleaseSteps, ThrottleSteps

CAP, IOPS, MEMORY = LimitKind.CPU_CAP, LimitKind.DISK_IOPS, LimitKind.MEMORY


async def carry_out(bench, action, steps=None):
    steps, context = steps or ThrottleSteps(), await bench.context()
    before = await steps.check(action, context)
    await steps.apply(action, before, context)
    return before, await steps.verify(action, before, context)


async def test_a_throttle_is_set_read_back_and_undone():
    bench = Bench()
    action = bench.throttle({CAP: 0.5, IOPS: 100.0})
    before, seen = await carry_out(bench, action)
    assert before["hold"] == {
        "before": {"cpu_cap": None, "disk_iops": None},
        "asked": {"cpu_cap": 0.5, "disk_iops": 100.0},
    }
    assert seen["limits"] == {"cpu_cap": 0.5, "disk_iops": 100.0}
    for _ in range(2):
        await ThrottleSteps().undo(action, before, await bench.context())
        assert await bench.limits(CAP) is None


async def test_a_throttle_ends_at_the_host_by_itself_when_nobody_lets_go():
    bench = Bench()
    bench.world.limit(bench.vm, {CAP: 1.5})
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.world.advance(60)
    assert await bench.limits(CAP) == 0.5, "our own release comes first"
    bench.world.advance(3)
    assert await bench.limits(CAP) == 1.5


async def test_a_throttle_that_is_renewed_unchanged_is_renewed_at_the_host_too():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: None})
    bench.world.advance(40)
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.world.advance(40)
    assert await bench.limits(CAP) == 0.5
    bench.world.advance(30)
    assert await bench.limits(CAP) is None


async def test_undoing_gives_the_throttle_beneath_what_it_has_left_at_the_host():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: None})
    before, _ = await carry_out(bench, bench.throttle({CAP: 0.25}))
    await ThrottleSteps().undo(bench.throttle({CAP: 0.25}), before, await bench.context())
    assert await bench.limits(CAP) == 0.5
    bench.world.advance(65)
    assert await bench.limits(CAP) is None


async def test_what_is_released_stays_so():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: None})
    action = Release(vm=bench.vm)
    before = await ReleaseSteps().check(action, await bench.context())
    await ReleaseSteps().apply(action, before, await bench.context())
    bench.world.limit(bench.vm, {CAP: 0.75})
    bench.world.advance(120)
    assert await bench.limits(CAP) == 0.75, "a lapse that was forgotten does not come back"


async def test_checking_changes_nothing():
    bench = Bench()
    await ThrottleSteps().check(bench.throttle({CAP: 0.5}), await bench.context())
    assert await bench.limits(CAP) is None


async def test_applying_twice_is_the_same_as_once():
    bench = Bench()
    action, context = bench.throttle({CAP: 0.5}), await bench.context()
    before = await ThrottleSteps().check(action, context)
    for _ in range(2):
        await ThrottleSteps().apply(action, before, context)
    assert await bench.limits(CAP) == 0.5


async def test_a_stricter_limit_that_a_hand_has_set_stays():
    bench = Bench()
    bench.world.limit(bench.vm, {CAP: 0.2})
    action = bench.throttle({CAP: 0.5})
    before, seen = await carry_out(bench, action)
    assert seen["limits"] == {"cpu_cap": 0.2}
    await ThrottleSteps().undo(action, before, await bench.context())
    assert await bench.limits(CAP) == 0.2


async def test_a_second_throttle_keeps_what_held_before_the_first():
    bench = Bench()
    bench.world.limit(bench.vm, {CAP: 1.5})
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: 1.5})
    before, _ = await carry_out(bench, bench.throttle({CAP: 0.8}))
    assert before["hold"]["before"] == {"cpu_cap": 1.5}
    assert await bench.limits(CAP) == 0.8
    await ThrottleSteps().undo(bench.throttle({CAP: 0.8}), before, await bench.context())
    assert await bench.limits(CAP) == 0.5, "undoing goes back to the throttle beneath"


async def test_a_throttle_that_names_fewer_limits_gives_the_others_back():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5, IOPS: 100.0}))
    bench.held({CAP: 0.5, IOPS: 100.0}, {CAP: None, IOPS: None})
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    assert await bench.limits(IOPS) is None


async def test_limits_changed_by_hand_under_a_hold_are_a_conflict():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: None})
    bench.world.limit(bench.vm, {CAP: 1.0})
    with pytest.raises(Conflict, match="another hand"):
        await ThrottleSteps().check(bench.throttle({CAP: 0.4}), await bench.context())


async def test_a_hand_between_check_and_apply_is_not_overwritten():
    bench = Bench()
    action, context = bench.throttle({CAP: 0.5}), await bench.context()
    before = await ThrottleSteps().check(action, context)
    bench.world.limit(bench.vm, {CAP: 0.1})
    with pytest.raises(Conflict):
        await ThrottleSteps().apply(action, before, context)
    assert await bench.limits(CAP) == 0.1


async def test_undo_leaves_what_a_hand_has_changed_since_and_says_so():
    bench = Bench()
    action = bench.throttle({CAP: 0.5, IOPS: 100.0})
    before, _ = await carry_out(bench, action)
    bench.world.limit(bench.vm, {CAP: 0.3})
    with pytest.raises(Conflict, match="left as another hand"):
        await ThrottleSteps().undo(action, before, await bench.context())
    assert (await bench.limits(CAP), await bench.limits(IOPS)) == (0.3, None)


@pytest.mark.parametrize("limits", [{}, {CAP: 0.0}, {CAP: -1.0}, {CAP: float("nan")}, {CAP: float("inf")}])
async def test_a_malformed_throttle_is_refused(limits):
    bench = Bench()
    with pytest.raises(Invalid):
        await ThrottleSteps().check(bench.throttle(limits), await bench.context())


async def test_gold_is_never_throttled_and_nobody_below_the_floor():
    bench = Bench()
    with pytest.raises(NotPermitted):
        await ThrottleSteps().check(bench.throttle({CAP: 1.5}, bench.gold), await bench.context())
    with pytest.raises(NotPermitted, match=r"0\.25"):
        await ThrottleSteps().check(bench.throttle({CAP: 0.1}, bench.silver), await bench.context())


async def test_a_stopped_vm_is_not_throttled():
    bench = Bench()
    await bench.a.acting.power.stop(bench.vm, force=True)
    with pytest.raises(Conflict, match="not running"):
        await ThrottleSteps().check(bench.throttle({CAP: 0.5}), await bench.context())


async def test_a_limit_that_the_host_cannot_set_is_unsupported():
    bench = Bench(without={"limits.cpu_cap": "no scheduler parameters"})
    with pytest.raises(Unsupported):
        await ThrottleSteps().check(bench.throttle({CAP: 0.5}), await bench.context())


async def test_a_limit_that_does_not_read_back_fails():
    bench = Bench()
    bench.world.faults.add(Fault(operation="limits.set", drift={CAP: 1.7}))
    with pytest.raises(Rejected, match="read back"):
        await carry_out(bench, bench.throttle({CAP: 0.5}))


async def test_a_lost_answer_is_made_good_by_trying_again():
    bench = Bench()
    action, context = bench.throttle({CAP: 0.5}), await bench.context()
    before = await ThrottleSteps().check(action, context)
    bench.world.faults.add(Fault(operation="limits.set", raises=Unreachable, obeyed=True))
    with pytest.raises(Unreachable):
        await ThrottleSteps().apply(action, before, context)
    await ThrottleSteps().apply(action, before, context)
    assert (await ThrottleSteps().verify(action, before, context))["limits"] == {"cpu_cap": 0.5}


async def test_release_gives_back_what_held_before():
    bench = Bench()
    bench.world.limit(bench.vm, {CAP: 1.5})
    await carry_out(bench, bench.throttle({CAP: 0.5}))
    bench.held({CAP: 0.5}, {CAP: 1.5})
    _, seen = await carry_out(bench, Release(vm=bench.vm), ReleaseSteps())
    assert seen == {"limits": {"cpu_cap": 1.5}, "left": {}}
    assert await bench.limits(CAP) == 1.5


async def test_release_leaves_what_a_hand_has_changed():
    bench = Bench()
    await carry_out(bench, bench.throttle({CAP: 0.5, IOPS: 100.0}))
    bench.held({CAP: 0.5, IOPS: 100.0}, {CAP: None, IOPS: None})
    bench.world.limit(bench.vm, {CAP: 0.3})
    _, seen = await carry_out(bench, Release(vm=bench.vm), ReleaseSteps())
    assert seen["left"] == {"cpu_cap": 0.3}
    assert (await bench.limits(CAP), await bench.limits(IOPS)) == (0.3, None)


async def test_release_without_a_hold_is_refused():
    bench = Bench()
    with pytest.raises(Conflict):
        await ReleaseSteps().check(Release(vm=bench.vm), await bench.context())


async def test_a_throttle_of_memory_waits_for_what_the_hypervisor_shows():
    bench = Bench()
    _, seen = await carry_out(bench, bench.throttle({MEMORY: float(1 << 30)}))
    assert seen["limits"]["memory"] == float(1 << 30)
