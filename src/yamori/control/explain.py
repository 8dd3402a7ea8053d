"""Tells a run as one line of history: observed, judged, proposed, ruled, done, read back. Pure."""

from typing import Any

from yamori.model.actions import Migrate, Throttle
from yamori.model.amounts import amount
from yamori.model.finding import Finding
from yamori.model.limits import LimitKind, allowance
from yamori.model.run import Run


def explain(run: Run, finding: Finding | None, vm_name: str) -> tuple[str, ...]:
    """Return the reason trail, one sentence a line, oldest first."""
    lines: list[str] = []
    if finding is not None:
        lines.append(f"observed by {finding.module} at {finding.opened_at:%H:%M:%S}: {finding.summary}")
        for fact in finding.evidence:
            usual = "" if fact.usual is None else f" (usual {amount(fact.usual, fact.unit)})"
            lines.append(f"  evidence: {fact.what} of {fact.subject} is {amount(fact.value, fact.unit)}{usual}")
        covered = finding.coverage
        missing = f", missing: {', '.join(covered.missing)}" if covered.missing else ""
        lines.append(f"  examined {covered.examined} of {covered.of} VMs{missing}")
    lines.append(f"proposed by {run.proposal.by}: {_action(run)} for {vm_name}, because {run.proposal.reason}")
    decision = run.decision
    lines.append(f"ruled {decision.verdict} by rule {decision.rule}: {decision.reason}")
    for entry in run.entries:
        said = _note(entry.note)
        lines.append(f"  {entry.at:%H:%M:%S.%f}"[:-3] + f" {entry.state}{said}")
    if run.seen is not None:
        lines.append(f"read back: {_flat(run.seen)}")
    if run.error is not None:
        lines.append(f"error: {run.error}")
    lines.append(f"now: {run.state}")
    return tuple(lines)


def _action(run: Run) -> str:
    action = run.decision.action
    if isinstance(action, Throttle):
        limits = ", ".join(f"{k} {allowance(LimitKind(k), v)}" for k, v in action.limits.items())
        return f"throttle to {limits} for at most {action.expires_after_s:.0f} s"
    if isinstance(action, Migrate):
        leave = ", standing still if it must" if action.stopping else ""
        return f"migrate to {action.to or 'a host of control’s choice'}{leave}"
    return action.verb


def _note(note: dict[str, Any]) -> str:
    said = {key: value for key, value in note.items() if key not in ("before", "seen")}
    return f" ({_flat(said)})" if said else ""


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_limit(k, v)}" for k, v in value.items())
    return str(value)


def _limit(name: str, value: Any) -> str:
    if name in set(LimitKind) and (value is None or isinstance(value, int | float)):
        return allowance(LimitKind(name), value)
    return _flat(value)
