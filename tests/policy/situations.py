"""Small makers of proposals and facts for the policy's tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from yamori.model.actions import Action, Effect, Migrate, Release, Throttle
from yamori.model.finding import Coverage, Finding, Severity
from yamori.model.host import Host
from yamori.model.ids import FindingId, HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.proposal import Proposal
from yamori.model.sla import STANDARD_CLASSES
from yamori.model.vm import VM, PowerState
from yamori.policy.facts import Deed, Facts
from yamori.policy.reading import read_policy
from yamori.policy.rules import Policy

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
GIB = 1 << 30


def throttle(vm: str = "a", *, expires: float = 600.0, **limits: float) -> Throttle:
    chosen = {LimitKind(k): v for k, v in (limits or {"cpu_cap": 0.5}).items()}
    return Throttle(vm=VMId(vm), limits=chosen, expires_after_s=expires)


def migrate(vm: str = "a") -> Migrate:
    return Migrate(vm=VMId(vm), to=HostId("h2"))


def release(vm: str = "a") -> Release:
    return Release(vm=VMId(vm))


def proposal(action: Action | None = None, by: str = "guard") -> Proposal:
    return Proposal(
        action=throttle() if action is None else action, by=by, reason="because", finding=None, proposed_at=NOW
    )


def vm(vm_id: str = "a", *, host: str | None = "h1", **labels: str) -> VM:
    return VM(
        id=VMId(vm_id),
        name=f"vm-{vm_id}",
        host=None if host is None else HostId(host),
        state=PowerState.RUNNING,
        vcpus=2,
        memory_bytes=GIB,
        memory_max_bytes=GIB,
        labels=labels,
    )


def host(name: str = "h1", site: str | None = "north") -> Host:
    return Host(
        id=HostId(name),
        name=name,
        hypervisor="qemu",
        hypervisor_version="7",
        cpus=8,
        memory_bytes=8 * GIB,
        site=site,
    )


def finding(**changes: Any) -> Finding:
    found = Finding(
        id=FindingId("f1"),
        key="k",
        module="guard",
        kind="contention",
        severity=Severity.MEDIUM,
        confidence=0.8,
        summary="a harms b",
        host=HostId("h1"),
        cause=VMId("a"),
        victims=(VMId("b"),),
        resource="cpu",
        nature="attack",
        evidence=(),
        coverage=Coverage(examined=1, of=1),
        opened_at=NOW,
        updated_at=NOW,
    )
    return replace(found, **changes)


def deed(
    vm_id: str, verb: str = "throttle", *, at: str = "h1", site: str | None = "north", ago: float = 10.0
) -> Deed:
    effects = {"throttle": Throttle, "release": Release, "migrate": Migrate}[verb].effects
    assert Effect.REVERSIBLE in effects
    return Deed(
        vm=VMId(vm_id), verb=verb, effects=effects, host=HostId(at), site=site, at=NOW - timedelta(seconds=ago)
    )


def facts(label: str | None = "bronze", **changes: Any) -> Facts:
    labels = {} if label is None else {"sla": label}
    known = Facts(now=NOW, vm=vm(**labels), host=host(), sla=STANDARD_CLASSES.get(label or ""), finding=finding())
    return replace(known, **changes)


def policy(rules: str = "", more: str = "") -> Policy:
    """Write a policy in short: a flow list of rules, and further top-level lines."""
    return read_policy(f"version: 1\nrules: [{rules}]\n{more}", "p.yaml")


ALLOW_THROTTLE = "{id: yes-throttle, when: {verb: throttle}, decision: allow, mode: enforce}"
ALLOW_ALL = "{id: yes-all, decision: allow, mode: enforce}"
