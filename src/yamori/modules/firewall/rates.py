"""Rates as a person writes them: ``20k/s``, or ``20k/s burst 40k``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from yamori.model.errors import Invalid
from yamori.model.filter import Rates
from yamori.model.filter_rule import Rate
from yamori.policy.nodes import tidy
from yamori.policy.quantities import count
from yamori.policy.selectors import STRICT

_RATE = re.compile(r"([0-9.]{1,20} ?[kKmM]?) ?/ ?s(?:ec|econd)?(?: +burst +([0-9.]{1,20} ?[kKmM]?))?")


def rate(value: Any) -> Rate:
    """Read a rate; without a burst it is one second's worth. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    matched = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        raise ValueError(f"{tidy(str(value), 40)!r} is no rate; write it like 500/s, 20k/s or 20k/s burst 40k")
    per_second = round(count(matched[1]))
    try:
        return Rate(per_second=per_second, burst=round(count(matched[2])) if matched[2] else per_second)
    except Invalid as error:
        raise ValueError(error.message) from None


def written(value: Rate) -> str:
    """Write a rate so that it is read the same."""
    text = f"{value.per_second}/s"
    return text if value.burst == value.per_second else f"{text} burst {value.burst}"


Written = Annotated[
    Rate,
    PlainValidator(rate),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9.]+ ?[kKmM]? ?/ ?s(ec|econd)?( +burst +[0-9.]+ ?[kKmM]?)?$",
            "examples": ["500/s", "20k/s burst 40k"],
        }
    ),
]


class RateSpec(BaseModel):
    """How often at most, for each VM's card of the group. Where groups overlap, the lowest holds."""

    model_config = STRICT

    packets_in: Written | None = Field(default=None, description="All packets to the card.")
    packets_out: Written | None = Field(default=None, description="All packets from the card.")
    connections_in: Written | None = Field(default=None, description="Opening TCP segments to the card.")
    connections_out: Written | None = Field(default=None, description="Opening TCP segments from the card.")
    peer_in: Written | None = Field(default=None, description="Opening TCP segments from any one address.")
    peer_out: Written | None = Field(default=None, description="Opening TCP segments to any one address.")


def joint(many: list[RateSpec]) -> Rates:
    """Return the lowest of each rate."""
    found: dict[str, Rate] = {}
    for name in RateSpec.model_fields:
        given = [one for spec in many if (one := getattr(spec, name)) is not None]
        if given:
            found[name] = min(given, key=lambda one: (one.per_second, one.burst))
    return Rates(**found)
