"""The slow baseline on labelled real series (SMD, ASD, NAB's AWS metrics), beside robust z and EWMA z.

Threshold-free AUC-PR without point adjustment, and event recall at the loosest threshold with at most one false
episode a day. Series are scored as one VM with as many uses as there are metrics.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yamori.modules.guard import baseline

Floats = NDArray[np.float64]
TOP = 5
"""A row's score is the mean of its so many most deviating metrics."""
SAMPLES = 500.0
"""Time constant of the usual, in samples; the same for the guard's baseline and for EWMA z (alpha .002)."""
THRESHOLDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One entity: readings before and while it is judged, one row a sample, and the truth."""

    name: str
    group: str
    train: Floats
    test: Floats
    truth: NDArray[np.bool_]
    sample_s: float


def entities(folder: Path) -> Iterator[Labelled]:
    """Read everything that is there."""
    for path in sorted((folder / "series" / "smd-asd").glob("*.npz")):
        told = np.load(path)
        server = path.stem.startswith("machine")
        yield Labelled(
            name=path.stem,
            group="SMD" if server else "ASD",
            train=told["train"].astype(float),
            test=told["test"].astype(float),
            truth=told["label"].astype(bool).ravel(),
            sample_s=60.0 if server else 300.0,
        )
    nab = folder / "series" / "nab"
    windows = json.loads((nab / "windows.json").read_text()) if (nab / "windows.json").exists() else {}
    for name, spans in sorted(windows.items()):
        if name.startswith("realAWSCloudwatch") and spans:
            yield _nab(nab / name, spans)


def _nab(path: Path, spans: list[list[str]]) -> Labelled:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # NAB's times are local and without a zone; only their order and distance matter here.
    times = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    values = np.array([[float(row["value"])] for row in rows])
    edges = [(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in spans]
    truth = np.array([any(a <= t <= b for a, b in edges) for t in times])
    begin = int(0.15 * len(rows))  # NAB's own probationary period
    return Labelled(
        name=path.stem,
        group="NAB AWS",
        train=values[:begin],
        test=values[begin:],
        truth=truth[begin:],
        sample_s=300.0,
    )


def _top(deviations: Floats) -> Floats:
    """Combine metrics: the mean of the most deviating ones."""
    size = np.abs(np.nan_to_num(deviations))
    count = min(TOP, size.shape[1])
    return np.asarray(np.partition(size, -count, axis=1)[:, -count:].mean(axis=1))


def guard_scores(each: Labelled) -> Floats:
    """Let the guard's own baseline see one sample after the other, learning all the time."""
    both = np.concatenate([each.train, each.test])
    floors = np.maximum(0.01, 0.01 * np.ptp(each.train, axis=0))
    known = baseline.Baseline(
        mean=np.full((both.shape[1], 1), np.nan),
        spread=np.full((both.shape[1], 1), np.nan),
        seconds=np.zeros(1),
        odd_s=np.zeros(1),
    )
    odd = np.zeros_like(both)
    one = np.ones(1)
    for i, row in enumerate(both):
        taken = row[:, None]
        told = baseline.surprise(known, taken, floors)
        odd[i] = told[:, 0]
        known = baseline.learn(known, taken, told, one, None, SAMPLES, floors)
    return _top(odd)[len(each.train) :]


def robust_scores(each: Labelled) -> Floats:
    """Distance from the median of the training part in its median absolute deviations."""
    middle = np.median(each.train, axis=0)
    mad = np.median(np.abs(each.train - middle), axis=0) * 1.4826
    return _top((each.test - middle) / np.maximum(mad, 0.01 * np.maximum(np.ptp(each.train, axis=0), 1.0)))


def ewma_scores(each: Labelled) -> Floats:
    """Exponentially weighted mean and standard deviation, plain: every reading is learned as it is."""
    both = np.concatenate([each.train, each.test])
    mean, variance = both[0].copy(), np.ones(both.shape[1]) * 1e-2
    odd = np.zeros_like(both)
    for i, row in enumerate(both):
        odd[i] = (row - mean) / np.sqrt(np.maximum(variance, 1e-4))
        change = row - mean
        mean = mean + change / SAMPLES
        variance = (1 - 1 / SAMPLES) * (variance + change * change / SAMPLES)
    return _top(odd)[len(each.train) :]


DETECTORS: dict[str, Callable[[Labelled], Floats]] = {
    "guard baseline": guard_scores,
    "robust z": robust_scores,
    "EWMA z": ewma_scores,
}


def area(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the area under precision and recall as average precision, over all thresholds."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / max(1, hits.sum()))


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def recall_at_one_a_day(scores: Floats, truth: NDArray[np.bool_], sample_s: float) -> float:
    """Return the part of events touched by an alarm, at the best threshold with one false episode a day."""
    events = runs(truth)
    days = len(scores) * sample_s / 86400.0
    best = 0.0
    for threshold in np.unique(np.quantile(scores, np.linspace(0.5, 1.0, THRESHOLDS))):
        alarm = scores > threshold
        wrong = sum(not truth[a:b].any() for a, b in runs(alarm))
        if wrong <= days and events:
            best = max(best, sum(bool(alarm[a:b].any()) for a, b in events) / len(events))
    return best


def judge(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return for each group and detector the means over its entities."""
    told: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for each in entities(folder):
        for name, detector in DETECTORS.items():
            scores = detector(each)
            pair = (area(scores, each.truth), recall_at_one_a_day(scores, each.truth, each.sample_s))
            told.setdefault(each.group, {}).setdefault(name, []).append(pair)
    return {
        group: {
            name: {
                "auc_pr": float(np.mean([a for a, _ in pairs])),
                "event_recall": float(np.mean([r for _, r in pairs])),
                "entities": len(pairs),
            }
            for name, pairs in found.items()
        }
        for group, found in told.items()
    }
