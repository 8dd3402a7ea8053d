"""From findings to proposals. Pure; asks for nothing that the host cannot do."""

from yamori.manifest.module import FleetView
from yamori.model.actions import Throttle
from yamori.model.finding import Finding
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori_leak.settings import LeakSettings


def respond(finding: Finding, view: FleetView, settings: LeakSettings) -> list[Proposal]:
    """Ask to hold the VM to twice its usual rate; nothing once it is held, in motion, or in other hands."""
    cause = finding.cause
    if cause is None or finding.closed_at is not None or not finding.evidence:
        return []
    vm, sla = view.vms.get(cause), view.sla(cause)
    if vm is None or vm.host is None or cause in view.holds or cause in view.moving or cause in view.drifted:
        return []
    if LimitKind.NET_OUT not in view.kinds.get(vm.host, frozenset()) or (sla is not None and not sla.throttleable):
        return []
    usual = finding.evidence[0].usual
    bound = max(2 * (usual or 0.0), settings.floor_bytes_s)
    return [
        Proposal(
            action=Throttle(vm=cause, limits={LimitKind.NET_OUT: bound}, expires_after_s=settings.expires_after_s),
            by="leak",
            reason=f"{finding.summary}; held to {bound / 1e6:.1f} MB/s while somebody looks",
            finding=finding.id,
            proposed_at=view.now,
        )
    ]
