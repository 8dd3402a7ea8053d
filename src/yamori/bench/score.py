"""Plays one scenario with the guard acting, and again with everybody only watching, and keeps the score."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yamori.bench.arena import Arena, Told, contentions
from yamori.bench.rules import Rule, peers
from yamori.bench.scenarios import WARM_S, Play, Scenario, play
from yamori.capabilities.sensing.rates import Residence, measured, memory_lost, rates
from yamori.capabilities.sensing.usage import UsageFrame, merge
from yamori.model.actions import Migrate, Throttle
from yamori.model.ids import VMId
from yamori.model.sla import STANDARD_CLASSES, Objective

TICK_S = 1.0
AFTER_S = 60.0
STEADY_S = 5.0


@dataclass(slots=True, kw_only=True)
class Score:
    """What one detector did in one scenario. Times are seconds after the disturbance began, None: never.

    ``blamed`` counts VMs that were named, ``wrong`` those of them that did nothing out of the ordinary or were
    called attackers without being one (``accused``), ``throttled`` and ``moved`` what was done to other VMs than
    the attacker. ``harm`` is how many times longer than before the neighbours' clients waited at the worst.
    """

    detector: str
    scenario: str
    seed: int
    attack: bool
    harm: float = 0.0
    detected_s: float | None = None
    contained_s: float | None = None
    released_s: float | None = None
    blamed: int = 0
    wrong: int = 0
    accused: int = 0
    throttled: int = 0
    moved: int = 0
    nature: str = ""
    vm_days: float = 0.0
    names: set[VMId] = field(default_factory=set)


async def guarded(scenario: Scenario, seed: int, lasts_s: float) -> Score:
    """Let the guard act."""
    stage = play(scenario, seed, lasts_s)
    arena = Arena(world=stage.world)
    await arena.open()
    score = Score(detector="guard", scenario=scenario.name, seed=seed, attack=scenario.attack)
    truth = Truth(stage)
    at = -WARM_S
    try:
        while at < lasts_s + AFTER_S:
            if at >= 0:
                stage.step(stage, at)
            told = await arena.tick(TICK_S)
            at += TICK_S
            truth.take(at, told.frame)
            _judge(score, told, stage, at)
    finally:
        await arena.close()
    score.vm_days = len(stage.usual) * (at + WARM_S) / 86400.0
    score.contained_s = truth.contained(lasts_s) if scenario.attack else None
    score.harm = truth.worst(0.0, lasts_s)
    return score


def _judge(score: Score, told: Told, stage: Play, at: float) -> None:
    for finding in contentions(told.findings):
        if finding.cause is None or finding.closed_at is not None:
            continue
        right = finding.cause == stage.attacker and at >= 0
        if right and score.detected_s is None:
            score.detected_s = at
        if right and score.nature != "attack":
            score.nature = finding.nature
        accused = not right and finding.nature == "attack"
        score.accused += accused and finding.cause not in score.names
        if finding.cause not in score.names:
            score.names.add(finding.cause)
            score.blamed += 1
            score.wrong += not right and (accused or finding.cause not in stage.busy)
    others = [a for a in told.done if a.vm != stage.attacker]
    score.throttled += sum(isinstance(a, Throttle) for a in others)
    score.moved += sum(isinstance(a, Migrate) for a in others)
    over = stage.attacker is not None and at > stage.lasts_s and score.released_s is None
    if over and stage.attacker not in told.holds:
        score.released_s = at - stage.lasts_s


async def watched(scenario: Scenario, seed: int, lasts_s: float) -> tuple[list[Score], float]:
    """Let the peers' rules watch the same series, nobody acting. Returns their scores and the harm done."""
    stage = play(scenario, seed, lasts_s)
    arena = Arena(world=stage.world, act=False)
    await arena.open()
    rules = peers()
    scores = {
        r.name: Score(detector=r.name, scenario=scenario.name, seed=seed, attack=scenario.attack) for r in rules
    }
    truth = Truth(stage)
    before: UsageFrame | None = None
    at = -WARM_S
    try:
        while at < lasts_s + AFTER_S:
            if at >= 0:
                stage.step(stage, at)
            stage.world.advance(TICK_S)
            at += TICK_S
            frame = await _frame(arena)
            truth.take(at, frame)
            if before is not None:
                _look(rules, scores, before, frame, stage, at)
            before = frame
    finally:
        await arena.close()
    for score in scores.values():
        score.vm_days = len(stage.usual) * (at + WARM_S) / 86400.0
        score.harm = truth.worst(0.0, lasts_s)
    return list(scores.values()), truth.worst(0.0, lasts_s)


async def _frame(arena: Arena) -> UsageFrame:
    usages = [session.sensing.usage for session in arena.sessions.values()]
    return merge([await usage.read() for usage in usages if usage is not None], arena.world.clock.wall)


def _look(
    rules: list[Rule], scores: dict[str, Score], before: UsageFrame, frame: UsageFrame, stage: Play, at: float
) -> None:
    now = rates(before, frame)
    for rule in rules:
        score = scores[rule.name]
        for vm in rule.look(frame, now):
            right = vm == stage.attacker and at >= 0
            if right and score.detected_s is None:
                score.detected_s = at
            if vm not in score.names:
                score.names.add(vm)
                score.blamed += 1
                score.wrong += not right and vm not in stage.busy


class Truth:
    """What no detector sees: how long the neighbours' clients wait; and whether promises are kept, by counting."""

    def __init__(self, stage: Play) -> None:
        self._stage = stage
        self._vms = [vm for vm in stage.world.vms("host-0") if vm != stage.attacker]
        self._class = dict(zip(stage.world.ids, stage.world.labels, strict=True))
        self._times: list[float] = []
        self._waits: list[float] = []
        self._broken: list[bool] = []
        self._before: UsageFrame | None = None
        self._residence: Residence | None = None

    def take(self, at: float, frame: UsageFrame) -> None:
        """Note one moment."""
        self._times.append(at)
        found = self._stage.world.service_latencies(self._vms)
        self._waits.append(float("nan") if np.isnan(found).all() else float(np.nanmean(found)))
        self._broken.append(self._any_broken(frame))

    def _any_broken(self, frame: UsageFrame) -> bool:
        before, self._before = self._before, frame
        if before is None:
            return False
        now = rates(before, frame)
        self._residence, lost = memory_lost(self._residence, now, frame)
        values = measured(now, lost)
        neighbours = set(self._vms)
        for row, vm in enumerate(frame.vms):
            promised = STANDARD_CLASSES[self._class[vm]["sla"]].objectives
            if vm in neighbours and any(values[o][row] > promised[o] for o in Objective):
                return True
        return False

    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        return np.array(self._times), np.array(self._waits), np.array(self._broken)

    def worst(self, begin: float, end: float) -> float:
        """Return the longest wait between two times, relative to what it was before the disturbance."""
        times, waits, _ = self._arrays()
        usual = float(np.nanmedian(waits[(times > -WARM_S / 2) & (times <= 0)]))
        return float(np.nanmax(waits[(times > begin) & (times <= end)]) / usual)

    def contained(self, lasts_s: float) -> float | None:
        """Return when all promises to the neighbours were kept again, and for STEADY_S; None if never.

        0 when none was ever broken.
        """
        times, _, broken = self._arrays()
        during = (times > 0) & (times <= lasts_s)
        if not broken[during].any():
            return 0.0
        first = float(times[during & broken][0])
        for at in times[during & (times >= first)]:
            if not broken[(times >= at) & (times < at + STEADY_S)].any():
                return float(at)
        return None
