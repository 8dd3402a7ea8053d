"""What a wire tells whoever drives it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yamori.agent.protocol.messages import Hello
from yamori.model.errors import YamoriError


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """To the controller: an agent that speaks our version is there. Answer with ``welcome`` or ``refuse``."""

    hello: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """To the agent: the controller has welcomed it. ``wall`` is the controller's clock."""

    version: int
    software: str
    wall: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The other side wants something done: ``answer`` or ``fault`` it by its id."""

    id: int
    name: str
    untrusted_arguments: Any
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The other side waits no longer for a call of its own."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a call of ours came to."""

    id: int
    untrusted_value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulted:
    """Why a call of ours came to nothing."""

    id: int
    error: YamoriError


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The last event. ``told`` is set where the other side said why, else we have found it out."""

    error: YamoriError
    told: bool = False


Event = Offered | Opened | Called | Cancelled | Answered | Faulted | Closed
