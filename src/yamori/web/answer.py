"""Values of the model as JSON answers. What is not a finite number is null: unknown, never zero."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from yamori.model.errors import Defect, Invalid
from yamori.model.plain import to_plain


def shown(value: Any) -> Any:
    """Turn a value of the model into plain JSON. Raises Defect for a value that has no plain form."""
    try:
        return to_plain(value)
    except Invalid:
        pass
    try:
        return to_plain(_finite(value))
    except Invalid as why:
        raise Defect(f"an answer cannot be written: {why.message}") from why


def _finite(value: Any) -> Any:
    """Rebuild a value with None in place of every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: _finite(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        )
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_finite(v) for v in value)
    return value


class Answer(Response):
    """A JSON answer of plain values. ASCII only, so that no terminal or log interprets a hostile name."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write the JSON."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
