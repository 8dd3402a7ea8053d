"""What a tick of judgement costs, beside one streaming estimator per VM and counter in a loop (river)."""

import statistics
import time
from typing import Any

import numpy as np

from yamori.bench import perloop
from yamori.bench.fleet import PER_HOST, SyntheticFleet
from yamori.bench.result import Bench, BenchResult, Progress, machine
from yamori.capabilities.sensing.usage import COUNTERS, Column
from yamori.model.ids import VMId
from yamori.model.sla import STANDARD_CLASSES, Objective
from yamori.modules.guard.assess import assess
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.respond import respond
from yamori.modules.guard.sense import Observation
from yamori.modules.guard.settings import GuardSettings

SIZES = (10_000, 100_000)
WARM_TICKS, TICKS, LOOP_TICKS = 20, 15, 3
ATTACKED_HOSTS = 10


def _ours(count: int, seed: int) -> tuple[list[float], list[float], int]:
    """Return CPU seconds per tick, calm and with attacks under way, and how many attacks were found."""
    fleet, settings, memory = SyntheticFleet(count, seed), GuardSettings(), GuardMemory()
    attacked = np.arange(min(ATTACKED_HOSTS, max(1, count // PER_HOST)))
    calm: list[float] = []
    busy: list[float] = []
    causes: set[str] = set()
    for tick in range(WARM_TICKS + 2 * TICKS):
        attack = attacked if tick >= WARM_TICKS + TICKS else None
        observation = Observation(frame=fleet.next(attack), view=fleet.view(), missing={})
        began = time.thread_time()
        memory, findings = assess(observation, memory, settings)
        for finding in findings:
            respond(finding, observation.view, settings)
        spent = time.thread_time() - began
        causes |= {f.cause for f in findings if f.kind == "contention" and f.cause is not None}
        if tick >= WARM_TICKS:
            (calm if attack is None else busy).append(spent)
    return calm, busy, len(causes)


def _loop(count: int, seed: int) -> list[float]:
    """Return CPU seconds per tick of the same work done VM by VM with a streaming library."""
    fleet = SyntheticFleet(count, seed)
    bounds = [_bounds(fleet, vm) for vm in fleet.vms]
    estimators = [perloop.Estimator(usual_s=GuardSettings().usual_s) for _ in range(count)]
    before, spent = fleet.next(), []
    for _ in range(LOOP_TICKS):
        now = fleet.next()
        began = time.thread_time()
        perloop.tick(before, now, estimators, bounds)
        spent.append(time.thread_time() - began)
        before = now
    return spent


def _bounds(fleet: SyntheticFleet, vm: VMId) -> tuple[float, ...]:
    promised = STANDARD_CLASSES[fleet.known[vm].labels["sla"]].objectives
    return tuple(promised[objective] for objective in Objective)


def run(scale: float, progress: Progress) -> BenchResult:
    """Measure both at two sizes. ``scale`` multiplies the sizes."""
    sizes = [max(PER_HOST, int(size * scale)) for size in SIZES]
    told: list[dict[str, Any]] = []
    for size in sizes:
        progress(f"detect: {size} VMs")
        calm, busy, found = _ours(size, seed=7)
        loop = _loop(size, seed=7)
        ours = statistics.median(calm)
        told.append(
            {
                "vms": size,
                "counters": len(COUNTERS),
                "columns_read": len(Column),
                "tick_s": ours,
                "tick_s_least": min(calm),
                "tick_s_most": max(calm),
                "tick_under_attack_s": statistics.median(busy),
                "attacks": min(ATTACKED_HOSTS, max(1, size // PER_HOST)),
                "attacks_found": found,
                "loop_s": statistics.median(loop),
                "ratio": statistics.median(loop) / ours,
            }
        )
    growth = told[1]["tick_s"] / told[0]["tick_s"]
    rows = [["VMs", "guard, calm", "guard, attacks", "river loop", "ratio"]]
    for each in told:
        rows.append(
            [
                f"{each['vms']:,}",
                f"{each['tick_s'] * 1e3:.1f} ms",
                f"{each['tick_under_attack_s'] * 1e3:.1f} ms ({each['attacks_found']}/{each['attacks']} found)",
                f"{each['loop_s'] * 1e3:.0f} ms",
                f"{each['ratio']:.0f} x",
            ]
        )
    return BenchResult(
        title="CPU time of one tick on one core: sense columns -> findings and proposals",
        rows=rows,
        json={"bench": "detect", "scale": scale, "machine": machine(), "sizes": told, "growth": growth},
        notes=(
            f"{sizes[1] / sizes[0]:.0f} x the VMs cost {growth:.1f} x the time.",
            f"Both read {len(COUNTERS)} counters and {len(Column) - len(COUNTERS)} gauges of each VM and work out",
            "rates, four objectives with their recent record, the usual use of four resources, and surprise.",
            "The loop keeps river's EWMean, EWVar and RollingMax for each VM. It attributes and answers nothing.",
        ),
    )


BENCH = Bench(name="detect", summary="cost per tick of the guard's judgement, beside a per-VM loop", run=run)
