"""The story on the simulator: found, held, verified, released; and the innocent are left alone."""

import asyncio

import pytest

from yamori.demo.play import Audience, DemoOptions, play


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_attack_is_contained_and_every_effect_is_verified(seed: int) -> None:
    told: list[str] = []
    options = DemoOptions(simulated=True, once=True, seed=seed)
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
