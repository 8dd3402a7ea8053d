import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.model.errors import Invalid
from yamori.trust.canonical import canonical

# RFC 8785 appendix B: the bits of a double and its only spelling.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@pytest.mark.parametrize(("bits", "spelling"), NUMBERS)
def test_numbers_are_spelled_as_the_rfc_shows(bits: str, spelling: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number).decode() == spelling


def test_members_are_sorted_by_utf16_code_units() -> None:
    # RFC 8785 section 3.2.3: the euro sign, a Hebrew letter, an emoji beyond the BMP, and so on.
    members = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert canonical(members).decode() == (
        '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
    )


def test_text_is_escaped_only_where_it_must_be() -> None:
    assert canonical("\u20ac$\x0f\nA'B\"\\/").decode() == '"\u20ac$\\u000f\\nA\'B\\"\\\\/"'


def test_the_spelling_does_not_depend_on_the_order_of_members() -> None:
    assert canonical({"a": [True, None], "b": {}}) == canonical({"b": {}, "a": [True, None]})


def test_a_large_integer_keeps_all_its_digits() -> None:
    assert canonical(2**63 - 1024) == b"9223372036854774784"
    assert canonical(2**53 + 1) != canonical(2**53)


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", {1: 2}, b"x", {"a": ...}], ids=repr)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        canonical(value)


@given(JSON)
def test_the_canonical_form_survives_reading(value: Any) -> None:
    spelled = canonical(value)
    assert canonical(json.loads(spelled)) == spelled


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_number(number: float) -> None:
    assert float(canonical(number)) == number
