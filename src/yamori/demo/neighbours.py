"""Those who share a host with the offender: whether they suffer, what they lacked, how they were served."""

import statistics
from dataclasses import dataclass, replace

from yamori.control.facade import Facade, VMView
from yamori.demo.report import Act, Phases
from yamori.demo.stage import Stage, wait_until
from yamori.model.sla import Objective

UNITS = {
    Objective.CPU_DELAY: "s/s",
    Objective.MEMORY_LOST: "fraction",
    Objective.DISK_LATENCY: "s",
    Objective.NET_DROPS: "fraction",
}
SERVED_LIMIT_S = 60.0
STEADY_S = 2.0
"""They count as served again when none of them has suffered for so long."""
RECENT_S = 30.0
BROKEN, OF = 2, 3
"""Who has so many of the last readings beyond what was promised suffers; a single one may be chance."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other VMs of one host. Moments are the stage's seconds."""

    facade: Facade
    stage: Stage
    views: tuple[VMView, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(view.vm.name for view in self.views)

    def service(self, began: float, attacked: float, contained: float, ended: float) -> Phases:
        """Return the p95 of the worst served of them, before, under and after the attack."""

        def worst(since: float, until: float) -> float | None:
            found = [self.stage.service(name, since, until).p95_s for name in self.names]
            return max((p for p in found if p is not None), default=None)

        return Phases(
            unit="s",
            before=worst(began, attacked),
            during=worst(attacked, contained),
            after=worst(contained, ended),
        )

    async def served_again(self) -> float:
        """Wait until none of them suffers any more; return since when that is so. Raises TimedOut."""
        since: float | None = None

        async def steady() -> float | None:
            nonlocal since
            if self._suffer():
                since = None
            elif since is None:
                since = self.stage.now()
            return since if since is not None and self.stage.now() - since >= STEADY_S else None

        return await wait_until(self.stage, steady, SERVED_LIMIT_S, "what the neighbours are owed stayed broken")

    def _suffer(self) -> bool:
        for view in self.views:
            seen = self.facade.history(view.vm.id, RECENT_S).values
            for each in view.served:
                known = [v for v in seen.get(each.objective.value, ()) if v is not None][-OF:]
                if each.bound is not None and sum(v > each.bound for v in known) >= BROKEN:
                    return True
        return False

    def lacking(self, act: Act, at: tuple[float, float, float, float]) -> Act:
        """Note in the act what they lacked most, relative to what they were promised."""
        began, attacked, contained, ended = at
        now = self.stage.now()
        columns = [self.facade.history(v.vm.id, now - began + 1.0) for v in self.views]
        newest = max((s.times[-1] for s in columns if s.times), default=0.0)

        def readings(objective: Objective, since: float, until: float) -> list[list[float]]:
            per_vm = [
                [
                    value
                    for t, value in zip(s.times, s.values.get(objective.value, ()), strict=False)
                    if value is not None and since <= now - (newest - t) <= until
                ]
                for s in columns
            ]
            return [values for values in per_vm if values]

        def worst(objective: Objective, since: float, until: float) -> float | None:
            return max((statistics.fmean(values) for values in readings(objective, since, until)), default=None)

        bounds: dict[Objective, float] = {}
        for each in (s for v in self.views for s in v.served):
            if each.bound is not None:
                bounds[each.objective] = min(each.bound, bounds.get(each.objective, each.bound))
        if not bounds:
            return act
        lacking = max(bounds, key=lambda o: (worst(o, attacked, contained) or 0.0) / bounds[o])
        return replace(
            act,
            objective_name=lacking.value,
            bound=bounds[lacking],
            objective_peak=max((v for some in readings(lacking, attacked, contained) for v in some), default=None),
            objective=Phases(
                unit=UNITS[lacking],
                before=worst(lacking, began, attacked),
                during=worst(lacking, attacked, contained),
                after=worst(lacking, contained, ended),
            ),
        )
