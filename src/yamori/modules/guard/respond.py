"""Answers a finding: the smallest throttle that suffices, held while needed, given back in steps. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from yamori.manifest.module import FleetView, Hold
from yamori.model.actions import Action, Migrate, Release, Throttle
from yamori.model.finding import Finding
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori.model.sla import SLAClass
from yamori.model.vm import PowerState
from yamori.modules.guard import holding, ladder
from yamori.modules.guard.cases import CONTENTION, OVERLOAD
from yamori.modules.guard.evidence import Facts, Word, facts
from yamori.modules.guard.nature import Nature
from yamori.modules.guard.rounding import words
from yamori.modules.guard.settings import GuardSettings
from yamori.modules.guard.standing import RESOURCES

UNCLASSED = SLAClass(name="")
"""The floors that a VM of no class is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One finding with all that its answer depends on."""

    finding: Finding
    cause: VMId
    hold: Hold | None
    facts: Facts
    subject: ladder.Subject
    view: FleetView
    settings: GuardSettings


def respond(finding: Finding, view: FleetView, settings: GuardSettings) -> Sequence[Proposal]:
    """Return what should be done about a finding now; nothing while a run on its cause is under way."""
    if finding.kind == OVERLOAD:
        return _overloaded(finding, view, settings)
    if finding.kind != CONTENTION or finding.cause is None:
        return []
    hold = view.holds.get(finding.cause)
    hands_off = finding.cause in view.drifted or (hold is not None and hold.finding_key is None)
    if hands_off or finding.cause in view.moving:
        return []
    question = _question(finding, finding.cause, hold, view, settings)
    if question.facts(Word.SILENT) > 0:
        return []
    if finding.closed_at is not None:
        return _let_go(question)
    return _contend(question)


def _question(
    finding: Finding, cause: VMId, hold: Hold | None, view: FleetView, settings: GuardSettings
) -> Question:
    vm = view.vms.get(cause)
    kinds = view.kinds.get(finding.host, frozenset()) if finding.host is not None else frozenset()
    subject = ladder.Subject(
        sla=view.sla(cause) or UNCLASSED,
        kinds=kinds,
        memory_bytes=float(vm.memory_max_bytes) if vm is not None else 0.0,
        vcpus=float(vm.vcpus) if vm is not None else 0.0,
        disks=holding.disks(vm),
        cards=holding.cards(vm),
        mild=finding.nature == Nature.LOAD,
        sure=finding.nature == Nature.ATTACK,
        margin=settings.margin,
    )
    return Question(
        finding=finding,
        cause=cause,
        hold=hold,
        facts=facts(finding),
        subject=subject,
        view=view,
        settings=settings,
    )


def _kinds(resource: str | None) -> tuple[LimitKind, ...]:
    return holding.KINDS[RESOURCES.index(resource)] if resource in RESOURCES else ()


def _own(q: Question) -> dict[LimitKind, float]:
    """Return the limits of the hold that answer this finding; others may answer another one."""
    if q.hold is None:
        return {}
    kinds = set(_kinds(q.finding.resource))
    if q.facts(Word.SQUEEZED) > 0:
        kinds.add(LimitKind.CPU_CAP)
    return {kind: value for kind, value in q.hold.asked.items() if kind in kinds}


def _contend(q: Question) -> Sequence[Proposal]:
    own, f, s = _own(q), q.facts, q.settings
    suffering = f(Word.SUFFERING) > 0
    if not own:
        patient = q.subject.mild and f(Word.STUCK) * max(1.0, f(Word.EXCESS)) < s.load_s
        return _begin(q) if suffering and not patient else []
    if suffering:
        return _insist(q, own) if f(Word.HELD) >= s.settle_s else []
    wait = min(s.probe_wait_max_s, s.probe_s * 2 ** f(Word.FAILURES))
    if f(Word.CALM) >= wait and f(Word.HELD) >= wait and f(Word.QUIET) <= 0:
        return _loosen(q, own, f"the victims have been served for {f(Word.CALM):.0f} s: loosen and see")
    return _renew(q, own)


def _begin(q: Question) -> Sequence[Proposal]:
    if not q.subject.sla.throttleable:
        return _migrate(q, f"class {q.subject.sla.name} is never throttled")
    wanted = ladder.first(q.finding.resource or "", q.facts, q.subject)
    if not wanted:
        return _migrate(q, f"its host cannot limit {q.finding.resource}")
    if not _bites(wanted, q.facts, q.subject):
        return _migrate(q, "its class leaves nothing to take")
    return _throttle(q, wanted, q.finding.summary)


def _bites(wanted: dict[LimitKind, float], f: Facts, s: ladder.Subject) -> bool:
    """Tell whether a limit is below what is used now, so that it changes anything."""
    used = {
        LimitKind.CPU_CAP: f(Word.CORES),
        LimitKind.CPU_WEIGHT: 1.0,
        LimitKind.MEMORY: f(Word.ASSIGNED),
        LimitKind.DISK_IOPS: f(Word.IOPS) / s.disks,
        LimitKind.DISK_BANDWIDTH: f(Word.BYTES) / s.disks,
        LimitKind.NET_OUT: f(Word.SENT) / s.cards,
    }
    return any(value < 0.98 * used.get(kind, 0.0) for kind, value in wanted.items())


def _insist(q: Question, own: dict[LimitKind, float]) -> Sequence[Proposal]:
    """The throttle has had its time and victims still suffer: tighten, take another way, or move."""
    f, s = q.facts, q.subject
    if LimitKind.MEMORY in own and not _followed(q, own[LimitKind.MEMORY]):
        return _insist_on_memory(q, own)
    if not ladder.at_floor(own, f, s):
        return _throttle(
            q, ladder.tighter(q.finding.resource or "", own, f, s), "the victims still suffer: tighten"
        )
    if LimitKind.MEMORY in own and not _squeezed(q):
        return _squeeze(q, own, "its class's floor of memory was not enough: hold its CPU")
    return _migrate(q, "throttling to its class's floor was not enough") or _renew(q, own)


def _insist_on_memory(q: Question, own: dict[LimitKind, float]) -> Sequence[Proposal]:
    """A balloon needs time, as long as it moves; a guest that does not give is held by its CPU instead."""
    target, most = own[LimitKind.MEMORY], q.subject.memory_bytes
    stands_still = q.facts(Word.ASSIGNED) > target + 0.75 * (most - target)
    if _squeezed(q):
        return _throttle(q, ladder.tighter("memory", own, q.facts, q.subject), "the victims still suffer: tighten")
    if stands_still or q.facts(Word.HELD) >= q.settings.balloon_s:
        return _squeeze(q, own, "the guest does not give memory back: hold its CPU")
    return _renew(q, own)


def _squeezed(q: Question) -> bool:
    return q.hold is not None and LimitKind.CPU_CAP in q.hold.asked


def _squeeze(q: Question, own: dict[LimitKind, float], why: str) -> Sequence[Proposal]:
    wanted = ladder.squeeze(q.facts, q.subject)
    if LimitKind.CPU_CAP not in wanted:
        return _migrate(q, why) or _renew(q, own)
    return _throttle(q, wanted, why)


def _followed(q: Question, target: float) -> bool:
    """Tell whether the VM keeps to its limit of memory: the guest gave it back, or the host holds it to it."""
    return min(q.facts(Word.ASSIGNED), q.facts(Word.RESIDENT, float("inf"))) <= 1.05 * target


def _renew(q: Question, own: dict[LimitKind, float]) -> Sequence[Proposal]:
    """Ask again for the same when half of the time is over and the reason still holds."""
    if q.hold is None:
        return []
    left = (q.hold.expires_at - q.view.now).total_seconds()
    if left > 0.5 * q.settings.expires_s:
        return []
    return _throttle(q, own, "the reason still holds: renew")


def _throttle(q: Question, wanted: dict[LimitKind, float], why: str) -> Sequence[Proposal]:
    limits = {**({} if q.hold is None else q.hold.asked), **wanted}
    said = ", ".join(words(kind, value) for kind, value in wanted.items())
    action = Throttle(vm=q.cause, limits=limits, expires_after_s=q.settings.expires_s)
    return [_proposal(action, f"{why} ({said})", q.finding, q.view)]


def _loosen(q: Question, own: dict[LimitKind, float], why: str) -> Sequence[Proposal]:
    return _instead(q, own, ladder.looser(own, q.settings.loosen, q.subject), why)


def _let_go(q: Question) -> Sequence[Proposal]:
    own = _own(q)
    others = q.hold is not None and q.hold.asked.keys() - own.keys()
    return _instead(q, own, {}, f"{q.finding.resource} is no longer contended" if others else "the reason is gone")


def _instead(
    q: Question, own: dict[LimitKind, float], wanted: dict[LimitKind, float], why: str
) -> Sequence[Proposal]:
    """Replace the limits that answer this finding, keep the others; release when none is left."""
    if q.hold is None or not own:
        return []
    limits = {**{k: v for k, v in q.hold.asked.items() if k not in own}, **wanted}
    if not limits:
        return [_proposal(Release(vm=q.cause), why, q.finding, q.view)]
    said = ", ".join(words(kind, wanted.get(kind)) for kind in own)
    action = Throttle(vm=q.cause, limits=limits, expires_after_s=q.settings.expires_s)
    return [_proposal(action, f"{why} ({said})", q.finding, q.view)]


def _migrate(q: Question, why: str) -> Sequence[Proposal]:
    """Move the offender, or, where that would only carry an attack elsewhere or is not possible, a victim."""
    since = q.facts(Word.STUCK) - q.settings.settle_s
    due = since >= 0 and since % q.settings.again_s < q.facts(Word.TICK)
    if not due or not _can_leave(q.finding, q.view):
        return []
    candidates = [q.cause, *q.finding.victims]
    if q.finding.nature == Nature.ATTACK:
        candidates = [*q.finding.victims]
    vm = _in_turn(candidates, q.view, since, q.settings)
    return [] if vm is None else [_proposal(Migrate(vm=vm), f"{why}; {q.finding.summary}", q.finding, q.view)]


def _overloaded(finding: Finding, view: FleetView, settings: GuardSettings) -> Sequence[Proposal]:
    """Nobody is to blame: after a long time move a victim away, where that is possible."""
    f = facts(finding)
    since = f(Word.LASTED) - settings.migrate_s
    lasting = since >= 0 and f(Word.SUFFERING) > 0 and since % settings.again_s < f(Word.TICK)
    if finding.closed_at is not None or not lasting or not _can_leave(finding, view):
        return []
    vm = _in_turn(finding.victims, view, since, settings)
    if vm is None:
        return []
    return [_proposal(Migrate(vm=vm), f"{finding.summary} for {f(Word.LASTED):.0f} s", finding, view)]


def _in_turn(candidates: Sequence[VMId], view: FleetView, since: float, settings: GuardSettings) -> VMId | None:
    """Return whom to move this time: each in turn, for the one before could not go, or its going did not help."""
    movable = [vm for vm in candidates if _movable(vm, view)]
    return movable[int(since // settings.again_s) % len(movable)] if movable else None


def _can_leave(finding: Finding, view: FleetView) -> bool:
    return finding.host in view.can_migrate and len(view.can_migrate) > 1


def _movable(vm: VMId, view: FleetView) -> bool:
    found = view.vms.get(vm)
    return found is not None and found.state is PowerState.RUNNING and vm not in view.moving


def _proposal(action: Action, why: str, finding: Finding, view: FleetView) -> Proposal:
    return Proposal(action=action, by="guard", reason=why, finding=finding.id, proposed_at=view.now)
