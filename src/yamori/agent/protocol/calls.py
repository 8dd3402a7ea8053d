"""The closed set of calls: their names, their arguments, how long they may take, how their answers are read."""

import json
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yamori.agent.protocol.columns import VMName
from yamori.agent.protocol.messages import Pem
from yamori.model.errors import Invalid
from yamori.model.limits import LimitKind

A = TypeVar("A", bound=BaseModel)

READ_S = 10.0
"""Seconds that a reading call may take."""
ACT_S = 30.0
"""Seconds that a changing call may take."""
MOST_CPUS = 8192
LONGEST_LAPSE_S = 7 * 86_400.0


class CallName(StrEnum):
    """All calls. The last is the agent's, the others are the controller's."""

    PROBE = "probe"
    INVENTORY = "inventory.read"
    VM = "inventory.vm"
    USAGE = "usage.read"
    LIMITS = "limits.read"
    SET_LIMITS = "limits.set"
    PIN = "limits.pin"
    RENEW = "certificate.renew"


class Arguments(BaseModel):
    """What a call is given; nothing else is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Nothing(Arguments):
    """No arguments."""


class OfVM(Arguments):
    """Which VM."""

    vm: VMName


Amount = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]


class SetLimits(OfVM):
    """As ``LimitsWriter.set``."""

    limits: dict[LimitKind, Amount | None]
    lapse_s: Annotated[float, Field(gt=0, le=LONGEST_LAPSE_S, allow_inf_nan=False)] | None = None


class Pin(OfVM):
    """As ``LimitsWriter.pin``."""

    cpus: Annotated[tuple[Annotated[int, Field(ge=0, le=65_535)], ...], Field(max_length=MOST_CPUS)] | None


class Renew(Arguments):
    """A request for the next certificate."""

    request: Pem


class Renewed(Arguments):
    """The next certificate."""

    certificate: Pem


def taken(model: type[A], untrusted_value: Any) -> A:
    """Read arguments or an answer. Raises Invalid, and does not repeat what came."""
    try:
        # By way of JSON once more: only there is strict reading what is meant by it (a list for a tuple, no
        # text for a number).
        return model.model_validate_json(json.dumps(untrusted_value, allow_nan=False), strict=True)
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise Invalid("it is no plain JSON") from None
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:4])
        raise Invalid(f"{where or 'it'}: {first['msg'][:120]}") from None
