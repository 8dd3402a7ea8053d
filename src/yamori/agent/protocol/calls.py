"""The closed set of calls: their names, their arguments, how long they may take, how their answers are read."""

import json
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yamori.agent.passage.settings import LOOPBACK
from yamori.agent.protocol.columns import VMName
from yamori.agent.protocol.messages import Pem, Text
from yamori.model.errors import Invalid
from yamori.model.limits import LimitKind
from yamori.model.migration import MigrationPhase

A = TypeVar("A", bound=BaseModel)

READ_S = 10.0
"""Seconds that a reading call may take."""
ACT_S = 30.0
"""Seconds that a changing call may take."""
MOST_CPUS = 8192
MOST_BYTES = 2**62
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
    LANDING = "migration.landing"
    START = "migration.start"
    STATUS = "migration.status"
    CANCEL = "migration.cancel"
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


MemoryAddress = Annotated[str, Field(pattern=rf"^{LOOPBACK}:[1-9]\d{{3,4}}$")]
"""Where a memory stream arrives: on the loopback of a host, so that it never leaves a machine in plaintext."""


class Landed(Arguments):
    """Where the memory of a VM is awaited. The rest of a landing is the hypervisor's."""

    address: MemoryAddress


class Start(OfVM):
    """As ``Migration.start``, of the memory stream alone."""

    address: MemoryAddress
    bandwidth_bytes_s: Annotated[int, Field(gt=0, le=MOST_BYTES)] | None
    key: Annotated[str, Field(min_length=1, max_length=256)]


class Carried(Arguments):
    """How far the last memory stream of a VM is."""

    phase: MigrationPhase
    processed_bytes: Annotated[int, Field(ge=0, le=MOST_BYTES)]
    error: Text | None


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
