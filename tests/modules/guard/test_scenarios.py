"""The closed loop on simulated contention: found, held, served again, let go; and the innocent left alone."""

import pytest

from yamori.bench.arena import Arena, contentions
from yamori.bench.scenarios import SCENARIOS, play
from yamori.bench.score import guarded
from yamori.drivers.simulator import Fault
from yamori.model.actions import Release, Throttle
from yamori.model.errors import Unreachable

SEED = 11
LASTS_S = 60.0
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("name", [s.name for s in SCENARIOS if s.attack])
async def test_an_attack_is_found_contained_and_let_go(name):
    score = await guarded(BY_NAME[name], SEED, LASTS_S)
    assert score.detected_s is not None
    assert score.detected_s <= 10.0
    assert (score.blamed, score.wrong, score.throttled, score.moved) == (1, 0, 0, 0)
    assert score.contained_s is not None
    assert score.contained_s <= 30.0
    assert score.released_s is not None


@pytest.mark.parametrize("name", [s.name for s in SCENARIOS if not s.attack])
async def test_the_innocent_are_not_accused_or_throttled(name):
    score = await guarded(BY_NAME[name], SEED, LASTS_S)
    assert (score.wrong, score.accused, score.throttled) == (0, 0, 0)


async def stage(**settings):
    scene = play(BY_NAME["disk thrash"], SEED, LASTS_S)
    arena = Arena(world=scene.world, **settings)
    await arena.open()
    for _ in range(40):
        await arena.tick(1.0)
    scene.on(scene.attacker, disk_read_iops=30_000.0, disk_op_bytes=4096.0)
    return scene, arena


async def test_without_a_disk_limit_nobody_is_throttled_for_the_disk():
    scene, arena = await stage(
        without={"limits.disk_iops": "none", "limits.disk_bandwidth": "none", "migration.live": "none"}
    )
    told = [await arena.tick(1.0) for _ in range(20)]
    assert any(f.cause == scene.attacker for t in told for f in contentions(t.findings))
    assert not arena.holds
    await arena.close()


async def test_only_watching_changes_nothing():
    scene, arena = await stage(act=False)
    told = [await arena.tick(1.0) for _ in range(10)]
    assert any(t.proposals for t in told)
    assert not any(t.done for t in told)
    assert scene.world.columns.disk_iops[scene.world.row(scene.attacker)] > 1e6
    await arena.close()


async def test_a_host_that_is_lost_and_found_again_keeps_its_throttle_and_its_end():
    scene, arena = await stage()
    for _ in range(6):
        await arena.tick(1.0)
    assert scene.attacker in arena.holds
    arena.sessions["host-0"].cut()
    for _ in range(5):
        told = await arena.tick(1.0)
        assert not told.done
    arena.sessions["host-0"].mend()
    scene.off(scene.attacker)
    done = [action for _ in range(40) for action in (await arena.tick(1.0)).done]
    assert Release(vm=scene.attacker) in done
    assert scene.attacker not in arena.holds
    await arena.close()


async def test_a_throttle_that_fails_is_asked_for_again():
    scene, arena = await stage()
    fault = Fault(operation="limits.set", times=2, raises=Unreachable)
    scene.world.faults.add(fault)
    told = [await arena.tick(1.0) for _ in range(10)]
    assert any(t.failed for t in told)
    assert any(isinstance(a, Throttle) for t in told for a in t.done)
    await arena.close()


async def test_the_offender_that_leaves_the_fleet_ends_the_finding():
    scene, arena = await stage()
    for _ in range(5):
        await arena.tick(1.0)
    scene.world.vanish(scene.attacker)
    arena.holds.clear()
    told = [await arena.tick(1.0) for _ in range(20)]
    assert told[-1].findings == ()
    await arena.close()
