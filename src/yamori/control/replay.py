"""Plays a record of readings through modules and a policy: what would have been found, asked for and ruled.

Nothing is done and no effect is simulated: the record holds what really happened, with what was done then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from yamori.capabilities.sensing.usage import UsageFrame
from yamori.control.seat import Seat
from yamori.control.sensors import MomentSensors
from yamori.manifest.module import FleetView
from yamori.model.finding import Finding
from yamori.model.ids import FindingId, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Decision, Proposal
from yamori.model.vm import VM
from yamori.policy.decide import decide
from yamori.policy.facts import Facts
from yamori.policy.rules import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One ruling that would have been made. ``times`` counts the ticks at which it would have been the same."""

    at: datetime
    vm_name: str
    proposal: Proposal
    decision: Decision
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a policy would have made of a record. ``failed`` are modules that could not judge, with the reason."""

    ticks: int
    first: datetime | None
    last: datetime | None
    findings: tuple[Finding, ...]
    rulings: tuple[Replayed, ...]
    failed: tuple[str, ...]


async def replay(
    record: Iterable[tuple[UsageFrame, Sequence[VM]]],
    seats: Sequence[Seat],
    policy: Policy,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Play a record. ``progress`` is told the number of ticks played."""
    findings: dict[FindingId, Finding] = {}
    rulings: dict[tuple[VMId, str, str, str], Replayed] = {}
    failed: dict[str, str] = {}
    ticks, first, last = 0, None, None
    for frame, vms in record:
        ticks, first, last = ticks + 1, first or frame.wall, frame.wall
        view = _view(frame, vms, policy)
        for seat in seats:
            judged = await seat.judge(MomentSensors(frame, view, {}))
            if judged.failed is not None:
                failed[seat.manifest.name] = judged.failed
            findings.update({finding.id: finding for finding in judged.findings})
            for proposal in judged.proposals:
                _rule(proposal, findings, view, policy, rulings)
        if progress is not None:
            progress(ticks)
    return Replay(
        ticks=ticks,
        first=first,
        last=last,
        findings=tuple(findings.values()),
        rulings=tuple(rulings.values()),
        failed=tuple(f"{name}: {why}" for name, why in failed.items()),
    )


def _view(frame: UsageFrame, vms: Sequence[VM], policy: Policy) -> FleetView:
    hosts: set[HostId] = {vm.host for vm in vms if vm.host is not None}
    return FleetView(
        now=frame.wall,
        vms={vm.id: vm for vm in vms},
        classes=policy.sla_classes(),
        holds={},
        kinds=dict.fromkeys(hosts, frozenset(LimitKind)),
        can_migrate=frozenset(hosts),
    )


def _rule(
    proposal: Proposal,
    findings: dict[FindingId, Finding],
    view: FleetView,
    policy: Policy,
    rulings: dict[tuple[VMId, str, str, str], Replayed],
) -> None:
    vm = view.vms.get(proposal.action.vm)
    finding = None if proposal.finding is None else findings.get(proposal.finding)
    facts = Facts(now=view.now, vm=vm, sla=view.sla(proposal.action.vm), finding=finding)
    decision = decide(proposal, facts, policy)
    key = (proposal.action.vm, proposal.action.verb, decision.rule, decision.verdict.value)
    known = rulings.get(key)
    rulings[key] = Replayed(
        at=view.now if known is None else known.at,
        vm_name=proposal.action.vm if vm is None else vm.name,
        proposal=proposal if known is None else known.proposal,
        decision=decision if known is None else known.decision,
        times=1 if known is None else known.times + 1,
    )
