"""What control knows of the agents on hosts: how they are let in, how they stand. Fulfilled by their gateway."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from yamori.model.ids import EndpointName
from yamori.model.secret import Secret

LISTEN = "127.0.0.1:8471"


def _is_address(text: str) -> str:
    address_of(text)
    return text


Address = Annotated[str, Field(max_length=300), AfterValidator(_is_address)]


class GatewaySettings(BaseModel):
    """Where agents connect to, and how they are let in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[Address, Field(description="HOST:PORT on which agents are awaited.")] = LISTEN
    address: Annotated[
        Address | None,
        Field(description="HOST:PORT at which hosts reach it, where that differs; it is put into the command."),
    ] = None
    lifetime_s: Annotated[
        float, Field(ge=600, le=31_536_000, description="Seconds that an agent's certificate is good for.")
    ] = 86_400.0
    token_s: Annotated[float, Field(ge=60, le=604_800, description="Seconds in which a token must be used.")] = (
        3600.0
    )
    most_connections: Annotated[
        int, Field(ge=1, le=100_000, description="Connections at once; more are turned away.")
    ] = 1000


class AgentState(StrEnum):
    """How an agent stands on the roll."""

    INVITED = "invited"
    ENROLLED = "enrolled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """One agent. ``since``: when it connected, or was lost; None if it was never there since the start.

    ``error`` is why it is not connected, as far as that is known. ``expires_at`` is the end of its certificate,
    ``software`` the version that it runs, ``skew_s`` by how much its clock is ahead of ours.
    """

    name: EndpointName
    state: AgentState
    connected: bool
    since: datetime | None
    error: str | None
    address: str | None
    software: str | None
    skew_s: float | None
    enrolled_at: datetime | None
    expires_at: datetime | None
    token_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A one-time token for one agent. ``command`` is what to type on its host: it holds the token."""

    name: EndpointName
    token: Secret = field(repr=False)
    controller: str
    command: Secret = field(repr=False)
    expires_at: datetime


class AgentGate(Protocol):
    """Lets agents in and strikes them off. Each change is on the ledger when the call returns."""

    async def agents(self) -> Sequence[AgentView]:
        """List the agents by name."""
        ...

    async def invite(self, name: str, *, by: str) -> Invitation:
        """Make a one-time token. Raises NotFound where no endpoint of that name waits for an agent, Invalid."""
        ...

    async def revoke(self, name: str, *, by: str, reason: str) -> AgentView:
        """Strike an agent off and end its connection, at once. Raises NotFound."""
        ...


def address_of(text: str) -> tuple[str, int]:
    """Read HOST:PORT; the host of an IPv6 address stands in brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    fits = bare and (":" not in bare or bare != host) and all(c.isalnum() or c in ".:-_%" for c in bare)
    if not fits or not (port.isascii() and port.isdigit() and 0 <= int(port) <= 65_535):
        raise ValueError("must be HOST:PORT, such as 192.0.2.10:8471 or [2001:db8::1]:8471")
    return bare, int(port)
