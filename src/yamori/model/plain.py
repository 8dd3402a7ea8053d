"""Model values as plain JSON and back: for the journal, the ledger, the API and recordings.

Writing is here; reading, which is strict, is in ``reading`` and offered here too.
"""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import Enum
from numbers import Integral
from typing import Any

from yamori.model.errors import Invalid
from yamori.model.reading import DEEPEST, VERB, from_plain, sound_text, verb_of

__all__ = ["DEEPEST", "VERB", "Json", "from_plain", "to_plain"]

Json = dict[str, Any]
"""A JSON object."""


def to_plain(value: Any) -> Any:
    """Turn a value of the model into plain JSON (objects, lists, strings, finite numbers, booleans, None).

    Dataclasses become objects by field name, with ``verb`` added where the class has one; enums become their
    value, times RFC 3339 in UTC, sets sorted lists. Raises Invalid for what JSON cannot say: a number that is
    not finite, a time without a zone, a type that is not of the model (a Secret, for one).
    """
    return _to_plain(value, 0)


def _to_plain(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise Invalid(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return sound_text(value, "text")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid(f"{value} is not a finite number: what is unknown is said as None")
        return float(value)
    if isinstance(value, datetime):
        return _time_to_plain(value)
    return _many_to_plain(value, depth + 1)


def _many_to_plain(value: Any, depth: int) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: Json = {f.name: _to_plain(getattr(value, f.name), depth) for f in dataclasses.fields(value)}
        verb = verb_of(type(value))
        return plain if verb is None else {VERB: verb, **plain}
    if isinstance(value, Mapping):
        return {_key(k): _to_plain(v, depth) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(v, depth) for v in value]
    if isinstance(value, AbstractSet):
        return sorted(_to_plain(v, depth) for v in value)
    raise Invalid(f"a {type(value).__name__} cannot be written as JSON")


def _key(key: Any) -> str:
    plain = key.value if isinstance(key, Enum) else key
    if not isinstance(plain, str):
        raise Invalid(f"a key must be text, not {type(plain).__name__}")
    return sound_text(plain, "a key")


def _time_to_plain(value: datetime) -> str:
    if value.tzinfo is None:
        raise Invalid("a time must have a zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
