"""Who causes it: ranks the VMs of one host as causes of its victims' suffering, each with its evidence.

A name is given only on evidence; where nobody stands out, nobody is named.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yamori.capabilities.sensing.rates import Floats
from yamori.modules.guard.window import Singles

LEAST_GROWTH = 0.1
"""Who has grown by less than this part of what is lacking has not caused it, however much it waits itself."""
LEAST_MOMENTS = 5
"""Co-movement needs at least so many readings with both values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One host, one resource, now: a row per VM on the host.

    ``taken`` and ``usual`` are in the unit of the use, ``usual`` NaN where not yet known. ``lack[i]`` is what VM
    i lacks in that unit, 0 for those who do not suffer. ``waits`` is what a VM asked for and did not get: on a
    full host even the cause gets little. ``series`` and ``filled`` are the last readings of use
    and of how far the objective was filled, shape (moments, VMs). ``capable`` are VMs that may be named at all.
    """

    taken: Floats
    usual: Floats
    lack: Floats
    waits: Floats
    series: Singles
    filled: Singles
    capable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One possible cause. Fractions between 0 and 1, ``together`` between -1 and 1 or None if not measurable.

    ``rise`` is its part of all growth over the usual, ``share`` its part of all use, ``together`` the correlation
    of its use with the others' suffering, ``relief`` the part of what the others lack that it could give back.
    """

    row: int
    confidence: float
    rise: float
    share: float
    together: float | None
    relief: float


def suspects(scene: Scene, least: float) -> list[Suspect]:
    """Return the VMs that are named as causes with at least ``least`` confidence, the surest first.

    Confidence weighs: part of the growth .35, co-movement .40, part of the use .25; co-movement that cannot be
    measured counts as .5 of it. It is scaled down by the relief: who could not give back what is lacking is
    not the cause, however busy. A VM is never blamed for its own suffering.
    """
    taken = np.nan_to_num(scene.taken)
    growth = np.where(np.isnan(scene.usual), _beyond_fair(taken), np.fmax(taken - scene.usual, 0.0))
    growth = np.where(scene.capable, growth, 0.0)
    lacking = scene.lack.sum() - scene.lack
    rise = _parts(growth)
    share = _parts(taken)
    together = co_movement(scene)
    with np.errstate(invalid="ignore", divide="ignore"):
        freed = np.where(growth >= LEAST_GROWTH * lacking, growth + scene.waits, 0.0)
        relief = np.where(lacking > 0, np.clip(freed / np.fmax(0.5 * lacking, 1e-12), 0.0, 1.0), 0.0)
    moved = np.where(np.isnan(together), 0.5, np.clip(together, 0.0, 1.0))
    confidence = (0.35 * rise + 0.40 * moved + 0.25 * share) * relief
    confidence[~scene.capable] = 0.0
    order = np.argsort(-confidence, kind="stable")
    return [
        Suspect(
            row=int(i),
            confidence=float(confidence[i]),
            rise=float(rise[i]),
            share=float(share[i]),
            together=None if np.isnan(together[i]) else float(together[i]),
            relief=float(relief[i]),
        )
        for i in order[: int(((confidence >= least) & (confidence > 0)).sum())]
    ]


def _beyond_fair(taken: Floats) -> Floats:
    """Without a history: what a VM takes beyond the median of the host, which an ordinary VM does not."""
    return np.fmax(taken - np.median(taken), 0.0) if len(taken) else taken


def _parts(amounts: Floats) -> Floats:
    total = amounts.sum()
    return amounts / total if total > 0 else np.zeros_like(amounts)


def co_movement(scene: Scene) -> Floats:
    """Correlate each VM's use with the suffering of all the others over the last readings.

    Pearson's coefficient, over the moments at which the use is known. Suffering is the filling of the objective,
    summed over those who suffer now and bounded, so that one extreme value does not decide alone.
    """
    moments, count = scene.series.shape
    if moments < LEAST_MOMENTS:
        return np.full(count, np.nan)
    filled = np.clip(np.nan_to_num(scene.filled.astype(float)), 0.0, 10.0) * (scene.lack > 0)
    others = filled.sum(axis=1, keepdims=True) - filled
    used = scene.series.astype(float)
    known = ~np.isnan(used)
    number = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = np.where(known, used - np.where(known, used, 0).sum(axis=0) / number, 0.0)
        y = np.where(known, others - np.where(known, others, 0).sum(axis=0) / number, 0.0)
        r = (x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    r[number < LEAST_MOMENTS] = np.nan
    return np.where(np.isfinite(r), r, np.nan)
