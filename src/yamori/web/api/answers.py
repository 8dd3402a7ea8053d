"""What the routes answer beside the model's own values."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from yamori.control.agents import Invitation
from yamori.control.facade import Standing, VMView
from yamori.model.ids import EndpointName
from yamori.model.limits import LimitKind, Limits
from yamori.model.proposal import Decision
from yamori.model.run import Run
from yamori.model.support import Support
from yamori.web.standing import standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """That the service is up. Nothing more: nobody has said who asks."""

    status: str = "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Versions, and the service's clock."""

    name: str
    version: str
    interface: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VMAnswer(VMView):
    """A VM with the worst standing of its objectives in one word."""

    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsNow:
    """What holds, as the hypervisor said at ``read_at``, and which kinds can be set where the VM is."""

    limits: Limits
    settable: frozenset[LimitKind]
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The support matrix: all features in order, and each endpoint's cells; null while it was never reached."""

    features: tuple[str, ...]
    endpoints: Mapping[EndpointName, Support | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """The policy in force."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerVerified:
    """How many records the chain has. Every one of them holds: anything else is answered as an error."""

    records: int
    verified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInvited:
    """A one-time token, shown this once, and the command to type on the host."""

    name: EndpointName
    token: str
    controller: str
    command: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """What policy ruled on an operator's wish, and the run; null where policy did not allow it."""

    decision: Decision
    run: Run | None


def invited(made: Invitation) -> AgentInvited:
    """Reveal a token to whoever asked for it."""
    return AgentInvited(
        name=made.name,
        token=made.token.reveal(),
        controller=made.controller,
        command=made.command.reveal(),
        expires_at=made.expires_at,
    )


def answer_of(view: VMView) -> VMAnswer:
    """Add the one word to a VM."""
    members = {f.name: getattr(view, f.name) for f in dataclasses.fields(VMView)}
    return VMAnswer(**members, standing=standing_of(view))
