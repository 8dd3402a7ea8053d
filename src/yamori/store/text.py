"""Values as the text of a column, and back. What the database holds was written by us, yet is read strictly."""

import json
from typing import Any

from yamori.model.errors import Tampered
from yamori.model.plain import from_plain, to_plain


def to_text(value: Any) -> str:
    """Write a value as JSON text. Raises Invalid."""
    return json.dumps(to_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def from_text(kind: Any, text: str, where: str) -> Any:
    """Read a value from JSON text. Raises Tampered where it is not JSON, Invalid where it does not fit."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Tampered("is not JSON: it was not written by Yamori", subject=where) from error
    return from_plain(kind, plain, where=where)
