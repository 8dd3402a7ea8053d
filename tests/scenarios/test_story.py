"""The story on the simulator: found, held, verified, released; and the innocent are left alone."""

import asyncio
from pathlib import Path

import pytest

from yamori.demo.play import Audience, DemoOptions, play
from yamori.demo.simulated import SimulatedStage
from yamori.model.errors import Untrusted

SPEED = 5.0
"""Half of what is usual: the controller's own work takes real time, more of it where others work too."""


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_attack_is_contained_and_every_effect_is_verified(seed: int) -> None:
    told: list[str] = []
    options = DemoOptions(on="simulator", once=True, seed=seed, speed=SPEED)
    audience = Audience(tell=told.append, progress=lambda *_: None, ready=lambda _: None)
    report = await asyncio.wait_for(play(options, audience, stop=asyncio.Event()), 200)
    assert report.verified, "\n".join(told)
    assert [act.attack for act in report.acts] == ["cpu", "memory", "disk"]
    for act in report.acts:
        assert act.objective is not None
        assert act.bound is not None
        assert act.objective.after is not None
        assert act.objective_peak is not None
        assert act.objective_peak > act.bound >= act.objective.after


def test_two_stages_never_share_a_world() -> None:
    stages = [SimulatedStage(speed=1.0, seed=seed) for seed in range(3)]
    names = {stage.fleet()["endpoints"][0]["world"] for stage in stages}
    del stages
    gone = SimulatedStage(speed=1.0, seed=4).fleet()["endpoints"][0]["world"]
    assert len(names | {gone}) == 4


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


async def test_a_state_directory_that_others_can_read_is_refused_before_anything_is_built(readable: Path) -> None:
    steps: list[str] = []
    options = DemoOptions(on="simulator", once=True, state_dir=readable)
    audience = Audience(tell=steps.append, progress=lambda text, _: steps.append(text), ready=lambda _: None)
    with pytest.raises(Untrusted, match="others can get at it"):
        await play(options, audience, stop=asyncio.Event())
    assert steps == []
