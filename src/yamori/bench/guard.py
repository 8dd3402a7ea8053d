"""The scenario suite: attacks and innocent loads, ordinary days, labelled series; the guard beside named peers."""

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yamori.bench import background, labelled
from yamori.bench.result import Bench, BenchResult, Progress, data_folder, machine
from yamori.bench.scenarios import SCENARIOS
from yamori.bench.score import TICK_S, Score, guarded, watched

SEEDS = (101, 102, 103, 104, 105)
"""Held out: nothing was chosen by looking at these. Development used seeds below 100."""
GUARD_S, PEERS_S = 300.0, 2400.0
"""The guard gets five minutes of each disturbance; the peers forty, because they need up to half an hour."""
TRACES, TRACE_HOURS = 100, 12.0
DAY_S = 86400.0


def run(scale: float, progress: Progress) -> BenchResult:
    """Play everything. ``scale`` shrinks the number of seeds, the lengths and the background."""
    seeds = SEEDS[: max(1, round(len(SEEDS) * scale))]
    lasts = max(20.0, GUARD_S * min(1.0, scale))
    ours, theirs, harms = asyncio.run(_scenarios(seeds, lasts, max(30.0, PEERS_S * min(1.0, scale)), progress))
    folder = data_folder()
    notes = [
        f"Seeds {seeds[0]} to {seeds[-1]}, held out. One reading a second. Times are simulated seconds.",
        "Contained: every promise to the neighbours kept again for 5 s, counted from the counters.",
        "Named as ordinary load while it really harms its neighbours is not counted as wrong; accused is.",
    ]
    told: dict[str, Any] = {
        "bench": "guard",
        "scale": scale,
        "machine": machine(),
        "tick_s": TICK_S,
        "seeds": list(seeds),
        "scenarios": [_plain(score) for score in ours],
        "peers": [_plain(score) for score in theirs],
        "harm_unguarded": harms,
        "summary": {name: _summary(scores) for name, scores in _by_detector([*ours, *theirs]).items()},
    }
    if folder is None:
        notes.append("SKIPPED: no real data found (set YAMORI_DATA): no ordinary days, no labelled series.")
        told["skipped"] = ["ordinary days", "labelled series"]
    else:
        told |= _real(folder, scale, progress, notes)
    rows = _rows(ours, harms)
    for name, total in told["summary"].items():
        notes.append(f"{name}: " + ", ".join(f"{key} {_number(value)}" for key, value in total.items()))
    return BenchResult(title="The guard on attacks and on innocent loads", rows=rows, json=told, notes=notes)


async def _scenarios(
    seeds: Sequence[int], lasts: float, peers_last: float, progress: Progress
) -> tuple[list[Score], list[Score], dict[str, float]]:
    ours: list[Score] = []
    theirs: list[Score] = []
    harms: dict[str, float] = {}
    for scenario in SCENARIOS:
        progress(f"guard: {scenario.name}")
        worst = []
        for seed in seeds:
            ours.append(await guarded(scenario, seed, lasts))
            scores, harm = await watched(scenario, seed, peers_last)
            theirs += scores
            worst.append(harm)
        harms[scenario.name] = statistics.median(worst)
    return ours, theirs, harms


def _real(folder: Path, scale: float, progress: Progress, notes: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if (folder / background.ARCHIVE).exists():
        progress("guard: ordinary days")
        found = background.traces(folder, max(4, int(TRACES * min(1.0, scale))), seed=SEEDS[0])
        hours = max(0.1, TRACE_HOURS * min(1.0, scale))
        quiet = asyncio.run(background.quiet(found, hours, seed=SEEDS[0]))
        told["ordinary_days"] = {name: getattr(quiet, name) for name in quiet.__slots__}
        days = quiet.vm_days
        peers = ", ".join(f"{name} {count / days:.2f}" for name, count in (quiet.peers or {}).items())
        notes.append(
            f"Ordinary days (Bitbrains, {days:.0f} VM-days): {quiet.blamed / days:.3f} VMs named a VM-day,"
            f" {quiet.accused / days:.3f} called attackers, {quiet.throttles} throttles, {quiet.moves} moves,"
            f" {quiet.unusual / days:.2f} told as unusual. Peers: {peers}."
        )
    else:
        notes.append(f"SKIPPED: ordinary days, no {background.ARCHIVE} in the data folder.")
    progress("guard: labelled series")
    told["labelled"] = labelled.judge(folder)
    for group, detectors in told["labelled"].items():
        said = "; ".join(f"{n} {v['auc_pr']:.2f} / {v['event_recall']:.2f}" for n, v in detectors.items())
        notes.append(f"{group}, AUC-PR / event recall at 1 false episode a day: {said}")
    return told


def _plain(score: Score) -> dict[str, Any]:
    return {name: getattr(score, name) for name in score.__slots__ if name != "names"}


def _by_detector(scores: Sequence[Score]) -> dict[str, list[Score]]:
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.detector, []).append(score)
    return found


def _summary(scores: Sequence[Score]) -> dict[str, float | None]:
    attacks = [s for s in scores if s.attack]
    detected = [s.detected_s for s in attacks if s.detected_s is not None]
    contained = [s.contained_s for s in attacks if s.contained_s is not None]
    named = sum(s.blamed for s in scores)
    wrong = sum(s.wrong for s in scores)
    return {
        "precision": (named - wrong) / named if named else None,
        "recall": len(detected) / len(attacks) if attacks else None,
        "detect_s": statistics.median(detected) if detected else None,
        "contain_s": statistics.median(contained) if contained else None,
        "contained": len(contained) / len(attacks) if attacks else None,
        "wrong_per_vm_day": wrong / sum(s.vm_days for s in scores),
        "accused": float(sum(s.accused for s in scores)),
    }


def _rows(ours: Sequence[Score], harms: dict[str, float]) -> list[list[str]]:
    rows = [
        [
            "scenario",
            "harm unguarded",
            "found",
            "detect s",
            "contain s",
            "release s",
            "nature",
            "others held/moved",
        ]
    ]
    for scenario in SCENARIOS:
        scores = [s for s in ours if s.scenario == scenario.name]
        found = sum(s.detected_s is not None for s in scores)
        named = sum(s.blamed for s in scores)
        rows.append(
            [
                scenario.name,
                f"x {harms[scenario.name]:.1f}",
                f"{found}/{len(scores)}"
                if scenario.attack
                else f"{named} named, {sum(s.accused for s in scores)} accused",
                _middle(s.detected_s for s in scores),
                _middle(s.contained_s for s in scores),
                _middle(s.released_s for s in scores),
                " ".join(sorted({s.nature for s in scores if s.nature})) or "-",
                f"{sum(s.throttled for s in scores)}/{sum(s.moved for s in scores)}",
            ]
        )
    return rows


def _middle(values: Any) -> str:
    known = [v for v in values if v is not None]
    return f"{statistics.median(known):.0f} (max {max(known):.0f})" if known else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


BENCH = Bench(
    name="guard", summary="attacks and innocent loads, beside three named peers; labelled series", run=run
)
