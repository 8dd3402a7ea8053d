"""The one spelling of a JSON value, byte for byte: the JSON Canonicalization Scheme (RFC 8785).

Hashes are taken over it, so that they do not depend on who wrote the JSON or how it was stored. One thing more
than the RFC: an integer beyond 2^53 is spelled with all its digits, where the RFC knows only doubles.
"""

import json
import math
from typing import Any

from yamori.model.errors import Invalid


def canonical(value: Any) -> bytes:
    """Return the canonical form of plain JSON. Raises Invalid for what JSON cannot carry."""
    try:
        return _spell(value).encode("utf-8")
    except UnicodeEncodeError:
        raise Invalid("text with half a surrogate pair has no canonical form") from None


def _spell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _spell_number(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_spell(v) for v in value)}]"
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise Invalid("the keys of an object must be text")
        # RFC 8785 section 3.2.3: sorted by UTF-16 code units, which differs from code points beyond the BMP.
        ordered = sorted(value, key=lambda k: k.encode("utf-16-be", "surrogatepass"))
        return f"{{{','.join(f'{_spell(k)}:{_spell(value[k])}' for k in ordered)}}}"
    raise Invalid(f"a {type(value).__name__} is not JSON")


def _spell_number(number: float) -> str:
    """Spell a double as ECMAScript does (RFC 8785 section 3.2.2.3, ECMA-262 Number::toString)."""
    if not math.isfinite(number):
        raise Invalid(f"{number} is not a finite number")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    # Python's repr gives the same shortest digits that ECMAScript asks for, laid out differently.
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _lay_out(digits, point)


def _lay_out(digits: str, point: int) -> str:
    """Place the decimal point of 0.DIGITS × 10^point."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = point - 1
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if power > 0 else '-'}{abs(power)}"
