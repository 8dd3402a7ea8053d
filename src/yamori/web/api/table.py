"""The table of routes: name, path, rights, whether it writes. Documentation and the abuse tests come from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from yamori.control.agents import AgentView
from yamori.control.facade import EndpointView, Explanation, KillSwitch, Ruling, Series
from yamori.model.finding import Finding
from yamori.model.run import Run
from yamori.web.api.answers import (
    AgentInvited,
    Health,
    LedgerVerified,
    LimitsNow,
    Matrix,
    PolicyText,
    Ruled,
    Service,
    VMAnswer,
)
from yamori.web.overview import FleetSummary

PREFIX = "/api/v1"


class Right(StrEnum):
    """What a route needs. The local token holds all of them; NOBODY marks the only anonymous route."""

    NOBODY = "nobody"
    READ = "fleet.read"
    LIMITS = "limits.set"
    MIGRATE = "migration.start"
    UNDO = "runs.undo"
    STOP = "modules.stop"
    AGENTS = "agents.enrol"
    AUDIT = "ledger.read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. ``answers`` is the type of the answer, or of one item where ``many`` is set."""

    name: str
    method: str
    path: str
    right: Right
    summary: str
    answers: Any = dict[str, Any]
    many: bool = False

    @property
    def writes(self) -> bool:
        """Whether the route may change something."""
        return self.method != "GET"

    @property
    def full_path(self) -> str:
        """The path from the root."""
        return PREFIX + self.path


def _read(name: str, path: str, summary: str, answers: Any = dict[str, Any], *, many: bool = False) -> Route:
    right = Right.AUDIT if name.startswith("ledger") else Right.READ
    return Route(name=name, method="GET", path=path, right=right, summary=summary, answers=answers, many=many)


def _write(name: str, path: str, right: Right, summary: str, answers: Any = dict[str, Any]) -> Route:
    return Route(name=name, method="POST", path=path, right=right, summary=summary, answers=answers)


ROUTES: Mapping[str, Route] = {
    r.name: r
    for r in (
        Route(
            name="health",
            method="GET",
            path="/health",
            right=Right.NOBODY,
            summary="Say that the service is up. The only route that needs no token; it tells nothing else.",
            answers=Health,
        ),
        _read("service", "/service", "Version of the service and of this interface.", Service),
        _read("openapi", "/openapi.json", "This interface in OpenAPI 3.1."),
        _read("endpoints", "/endpoints", "The configured connections and their hosts.", EndpointView, many=True),
        _read(
            "fleet",
            "/fleet",
            "The fleet by host: counts by standing, and the VMs that need a look first.",
            FleetSummary,
        ),
        _read("vms", "/vms", "VMs in order of host and name, page by page.", VMAnswer, many=True),
        _read("vm", "/vms/{vm}", "One VM, by id or by a name that only one VM has.", VMAnswer),
        _read("history", "/vms/{vm}/history", "What one VM used, and how it was served, over time.", Series),
        _read("limits", "/vms/{vm}/limits", "The limits of one VM, read from its hypervisor now.", LimitsNow),
        _read("support", "/support", "What each endpoint can do: feature by feature, with the reason.", Matrix),
        _read("findings", "/findings", "Findings, newest first.", Finding, many=True),
        _read("finding", "/findings/{finding}", "One finding with its evidence.", Finding),
        _read("rulings", "/rulings", "What policy ruled, newest first.", Ruling, many=True),
        _read("runs", "/runs", "Runs, newest first, without their journal.", Run, many=True),
        _read("run", "/runs/{run}", "One run with its journal.", Run),
        _read(
            "explain",
            "/runs/{run}/explain",
            "Why a run was: from the observation to what was read back.",
            Explanation,
        ),
        _read("wait", "/runs/{run}/wait", "Wait until a run has ended, and return it as it is then.", Run),
        _read(
            "agents",
            "/agents",
            "The agents on hosts: how they stand on the roll, and connected or not.",
            AgentView,
            many=True,
        ),
        _read("kill_switch", "/kill-switch", "Whether modules are kept from acting.", KillSwitch),
        _read("policy", "/policy", "The policy in force, as it was read.", PolicyText),
        _read("ledger", "/ledger", "Records of the ledger, oldest first.", many=True),
        _read("ledger_verify", "/ledger/verify", "Check the whole hash chain of the ledger.", LedgerVerified),
        _read("events", "/events", "What happens, as Server-Sent Events."),
        _write("throttle", "/vms/{vm}/throttle", Right.LIMITS, "Bound what a VM may use, for a time.", Ruled),
        _write("release", "/vms/{vm}/release", Right.LIMITS, "Give a VM back the limits it had before.", Ruled),
        _write(
            "migrate", "/vms/{vm}/migrate", Right.MIGRATE, "Move a running VM to another host, encrypted.", Ruled
        ),
        _write("undo", "/runs/{run}/undo", Right.UNDO, "Undo a verified run.", Run),
        _write(
            "throw_kill_switch",
            "/kill-switch/throw",
            Right.STOP,
            "Keep modules from acting, or let them act again.",
            KillSwitch,
        ),
        _write(
            "invite_agent",
            "/agents/{agent}/invite",
            Right.AGENTS,
            "Make a one-time token with which the host of an endpoint becomes its agent.",
            AgentInvited,
        ),
        _write(
            "revoke_agent",
            "/agents/{agent}/revoke",
            Right.AGENTS,
            "Strike an agent off: its connection ends at once, no certificate of it is good any more.",
            AgentView,
        ),
    )
}
