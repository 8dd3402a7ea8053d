"""JSON from others, in bounds; and its parts, asked for by their kind."""

from __future__ import annotations

import json
from typing import Any

from yamori.model.errors import Invalid
from yamori.policy.nodes import tidy

MOST_BYTES = 16 << 20


def read_json(untrusted_text: str | bytes, source: str) -> Any:
    """Return what a JSON text says. Raises Invalid."""
    if len(untrusted_text) > MOST_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MOST_BYTES} bytes (split it)", subject=source)
    try:
        return json.loads(untrusted_text, parse_constant=_refused)
    except json.JSONDecodeError as error:
        what = f"{source}:{error.lineno}:{error.colno}: this is not JSON: {error.msg}"
        raise Invalid(what, subject=source) from None
    except RecursionError:
        raise Invalid(f"{source}:1:1: nested too deep", subject=source) from None
    except (UnicodeDecodeError, ValueError) as error:
        raise Invalid(f"{source}:1:1: this is not JSON: {tidy(str(error), 120)}", subject=source) from None


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def mapping(untrusted: Any) -> dict[str, Any]:
    """Return an object, or an empty one where something else stands."""
    return untrusted if isinstance(untrusted, dict) else {}


def listed(untrusted: Any) -> list[Any]:
    """Return a list, or an empty one where something else stands."""
    return untrusted if isinstance(untrusted, list) else []


def text(untrusted: Any, limit: int = 200) -> str:
    """Return text in bounds; empty for nothing."""
    return "" if untrusted is None else tidy(str(untrusted), limit)


def number(untrusted: Any) -> int | None:
    """Return a whole number, also where it is written as text; None where there is none."""
    if isinstance(untrusted, bool):
        return None
    if isinstance(untrusted, int):
        return untrusted
    if isinstance(untrusted, str) and untrusted.strip().isascii() and untrusted.strip().isdigit():
        return int(untrusted.strip()[:9])
    return None
