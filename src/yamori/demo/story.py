"""The plot: a guest turns noisy, its neighbours suffer, Yamori finds and holds it, they recover, it is let go.

Uses only what every face may ask; knows neither hypervisor nor simulator.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from yamori.control.facade import Facade, VMView
from yamori.demo.neighbours import Neighbours
from yamori.demo.report import Act
from yamori.demo.stage import Stage, wait_until
from yamori.demo.verdict import judge, number
from yamori.model.actions import Throttle
from yamori.model.errors import YamoriError
from yamori.model.finding import Finding
from yamori.model.limits import LimitKind, allowance
from yamori.model.run import Run, RunState

USES = {
    "cpu_cap": "cpu_cores",
    "disk_iops": "disk_iops",
    "disk_bandwidth": "disk_bytes_s",
    "net_in": "net_rx_bytes_s",
    "net_out": "net_tx_bytes_s",
}
"""Which measured rate a limit bounds."""
LAG_S = 1.5
"""Counters show a new limit after about so long."""
BEFORE_S = 10.0
AFTER_S = 8.0
CALM_LIMIT_S = 90.0
DETECT_LIMIT_S = 40.0
THROTTLE_LIMIT_S = 60.0
RELEASE_LIMIT_S = 120.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A while in which what was asked of an offender did not change."""

    asked: Mapping[str, float]
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Story:
    """Plays acts on a stage against a running control plane and measures everything."""

    facade: Facade
    stage: Stage
    tell: Tell

    async def act(self, kind: str) -> Act:
        """Play one attack from calm to calm. Failures are in the act, not raised."""
        offender = self.facade.vm(self.stage.offenders()[kind])
        neighbours = self._neighbours(offender)
        act = Act(
            attack=kind,
            offender=offender.vm.name,
            host=offender.vm.host or "?",
            neighbours=neighbours.names,
        )
        try:
            return await self._play(act, kind, offender, neighbours)
        except YamoriError as error:
            return replace(act, failures=(*act.failures, str(error)))
        finally:
            await self.stage.stop_attack(offender.vm.name)

    async def _play(self, act: Act, kind: str, offender: VMView, neighbours: Neighbours) -> Act:
        await wait_until(self.stage, self._calm, CALM_LIMIT_S, "the fleet did not become calm before the attack")
        began = self.stage.now()
        await self.stage.sleep(BEFORE_S)
        earlier = {run.id for run in await self.facade.runs(limit=50)}
        attacked = self.stage.now()
        self.tell(f"{offender.vm.name} on {act.host} turns noisy: {kind}")
        await self.stage.attack(offender.vm.name, kind)

        async def found() -> Finding | None:
            return next(
                (
                    f
                    for f in await self.facade.findings(open_only=True, limit=50)
                    if f.cause == offender.vm.id and f.victims
                ),
                None,
            )

        finding = await wait_until(self.stage, found, DETECT_LIMIT_S, "the offender was not found")
        act = replace(act, detect_s=self.stage.now() - attacked, finding=finding.summary)
        self.tell(f"  found after {act.detect_s:.1f} s: {finding.summary}")

        async def held() -> Run | None:
            return next(
                (
                    r
                    for r in await self.facade.runs(limit=20)
                    if r.subject == offender.vm.id
                    and isinstance(r.decision.action, Throttle)
                    and r.state is RunState.VERIFIED
                    and r.id not in earlier
                ),
                None,
            )

        run = await wait_until(self.stage, held, THROTTLE_LIMIT_S, "no throttle was verified")
        throttled = self.stage.now()
        act = replace(act, throttle_s=throttled - attacked)
        asked = _limits_of(run)
        act = replace(act, asked=asked, read_back=await self._read_back(offender, asked))
        self.tell(f"  throttled after {act.throttle_s:.1f} s, read back: {_words(act.read_back)}")
        contained = await neighbours.served_again()
        act = replace(act, contain_s=contained - attacked)
        self.tell(f"  neighbours served again after {act.contain_s:.1f} s")
        span = await self._watch_hold(offender, until=contained + AFTER_S)
        ended = self.stage.now()
        hold = self.facade.vm(offender.vm.id).hold
        at_end = {k.value: v for k, v in (hold.asked if hold else {}).items()}
        act = replace(
            act,
            asked_at_end=at_end,
            read_back_at_end=await self._read_back(offender, at_end),
            asked_steadily=span.asked,
            used_steadily={kind: self._use(offender, kind, span) for kind in span.asked if kind in USES},
            service=neighbours.service(began, attacked, contained, ended),
        )
        act = neighbours.lacking(act, (began, attacked, contained, ended))
        for kind, use in act.used_steadily.items():
            if use is not None:
                cap = LimitKind(kind)
                self.tell(
                    f"  under {kind} {allowance(cap, act.asked_steadily[kind])} it uses {allowance(cap, use)}"
                )
        self._show(act)
        return await self._release(act, offender)

    async def _watch_hold(self, offender: VMView, *, until: float) -> Span:
        """Wait; return the longest while in which what is asked of the offender did not change."""
        spans: list[Span] = []
        while (now := self.stage.now()) < until:
            hold = self.facade.vm(offender.vm.id).hold
            asked = {} if hold is None else {kind.value: value for kind, value in hold.asked.items()}
            if spans and spans[-1].asked == asked:
                spans[-1] = replace(spans[-1], until=now)
            else:
                spans.append(Span(asked=asked, since=now, until=now))
            await self.stage.sleep(0.2)
        return max(
            spans, key=lambda span: span.until - span.since, default=Span(asked={}, since=until, until=until)
        )

    def _use(self, offender: VMView, kind: str, span: Span) -> float | None:
        """Return what the offender used under a limit, once the counters had time to show it."""
        now = self.stage.now()
        series = self.facade.history(offender.vm.id, now - span.since + 1.0)
        newest = series.times[-1] if series.times else 0.0
        seen = [
            value
            for t, value in zip(series.times, series.values.get(USES[kind], ()), strict=False)
            if value is not None and span.since + LAG_S <= now - (newest - t) <= span.until
        ]
        return statistics.fmean(seen) if seen else None

    async def _release(self, act: Act, offender: VMView) -> Act:
        stopped = self.stage.now()
        await self.stage.stop_attack(offender.vm.name)
        self.tell(f"  {act.attack} attack stopped")

        async def free() -> bool:
            return self.facade.vm(offender.vm.id).hold is None

        await wait_until(self.stage, free, RELEASE_LIMIT_S, "the throttle was not released")
        after = await self._read_back(offender, {**act.asked, **act.asked_at_end})
        act = replace(act, release_s=self.stage.now() - stopped, after_release=after)
        self.tell(f"  released {act.release_s:.1f} s after the attack stopped, read back: {_words(after)}")
        return replace(act, failures=(*act.failures, *judge(act)))

    async def _read_back(self, vm: VMView, kinds: Iterable[str]) -> dict[str, float | None]:
        limits = await self.facade.limits(vm.vm.id)
        return {kind: limits.values.get(LimitKind(kind)) for kind in kinds}

    def _neighbours(self, offender: VMView) -> Neighbours:
        views = [v for v in self.facade.vms() if v.vm.host == offender.vm.host and v.vm.id != offender.vm.id]
        return Neighbours(self.facade, self.stage, tuple(views))

    async def _calm(self) -> bool:
        """Say whether nobody causes harm and nobody is held. How the fleet is served shows in the numbers."""
        open_findings = await self.facade.findings(open_only=True, limit=10)
        return not any(f.victims for f in open_findings) and not any(v.hold for v in self.facade.vms())

    def _show(self, act: Act) -> None:
        for name, phases in ((act.objective_name, act.objective), ("service p95", act.service)):
            if phases is not None:
                words = " → ".join(number(v) for v in (phases.before, phases.during, phases.after))
                self.tell(f"  neighbours' {name} before → during → held: {words} {phases.unit}")


def _limits_of(run: Run) -> dict[str, float]:
    action = run.decision.action
    return {k.value: v for k, v in action.limits.items()} if isinstance(action, Throttle) else {}


def _words(limits: Mapping[str, float | None]) -> str:
    return ", ".join(f"{k} {allowance(LimitKind(k), v)}" for k, v in limits.items()) or "nothing asked"
