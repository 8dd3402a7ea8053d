from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trust.chain import BEGIN, KEY, chain
from yamori.model.errors import Invalid, Tampered
from yamori.trust.ledger import NOTHING, Head, Record, RecordKind, digest, extend, seal_head, verify

RECORDS, HEAD = chain(8)


def test_a_ledger_that_nobody_touched_verifies() -> None:
    assert verify(RECORDS, HEAD, KEY) == 8
    assert verify([], seal_head(0, NOTHING, KEY), KEY) == 0


def test_records_are_numbered_from_one_and_chained() -> None:
    assert [r.number for r in RECORDS] == list(range(1, 9))
    assert RECORDS[0].previous == NOTHING
    assert all(b.previous == a.hash for a, b in pairwise(RECORDS))
    assert HEAD.hash == RECORDS[-1].hash


CHANGES = {
    "body": lambda r: replace(r, body={**r.body, "number": -1}),
    "added member": lambda r: replace(r, body={**r.body, "x": 1}),
    "kind": lambda r: replace(r, kind=RecordKind.DUPLICATE),
    "time": lambda r: replace(r, at=r.at + timedelta(microseconds=1)),
    "hash": lambda r: replace(r, hash="f" * 64),
    "previous": lambda r: replace(r, previous="f" * 64),
}


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_detected_and_its_number_named(change: str, position: int) -> None:
    changed = list(RECORDS)
    changed[position] = CHANGES[change](changed[position])
    with pytest.raises(Tampered, match=f"record {position + 1} ") as told:
        verify(changed, HEAD, KEY)
    assert told.value.subject == f"ledger record {position + 1}"


@pytest.mark.parametrize("position", range(8))
def test_a_change_with_all_later_hashes_made_anew_is_detected(position: int) -> None:
    """Whoever can write the database can compute hashes, but not the head's MAC."""
    forged: list[Record] = list(RECORDS[:position])
    for record in RECORDS[position:]:
        previous = forged[-1].hash if forged else NOTHING
        body = {"forged": True} if record.number == position + 1 else record.body
        hashed = digest(record.number, record.at, record.kind, body, previous)
        forged.append(replace(record, body=body, previous=previous, hash=hashed))
    with pytest.raises(Tampered):
        verify(forged, HEAD, KEY)
    with pytest.raises(Tampered, match="head"):
        verify(forged, replace(HEAD, hash=forged[-1].hash), KEY)
    with pytest.raises(Tampered, match="head"):
        verify(forged, seal_head(8, forged[-1].hash, b"another key"), KEY)


@pytest.mark.parametrize("position", range(8))
def test_a_deletion_is_detected_and_its_number_named(position: int) -> None:
    with pytest.raises(Tampered, match=f"record {position + 1} is missing"):
        verify(RECORDS[:position] + RECORDS[position + 1 :], HEAD, KEY)


@pytest.mark.parametrize("kept", range(8))
def test_cutting_off_the_tail_is_detected_even_with_a_head_to_match(kept: int) -> None:
    with pytest.raises(Tampered, match=f"record {kept + 1} is missing"):
        verify(RECORDS[:kept], HEAD, KEY)
    last = RECORDS[kept - 1].hash if kept else NOTHING
    with pytest.raises(Tampered, match="head"):
        verify(RECORDS[:kept], Head(count=kept, hash=last, mac=HEAD.mac), KEY)


@pytest.mark.parametrize("position", range(7))
def test_two_records_in_each_others_place_are_detected(position: int) -> None:
    swapped = list(RECORDS)
    swapped[position], swapped[position + 1] = swapped[position + 1], swapped[position]
    with pytest.raises(Tampered):
        verify(swapped, HEAD, KEY)
    renumbered = [replace(r, number=n) for n, r in enumerate(swapped, 1)]
    with pytest.raises(Tampered, match=f"record {position + 1} "):
        verify(renumbered, HEAD, KEY)


@pytest.mark.parametrize("position", range(9))
def test_an_insertion_is_detected(position: int) -> None:
    previous = RECORDS[position - 1].hash if position else NOTHING
    number = position + 1
    extra = Record(
        number=number,
        at=BEGIN,
        kind=RecordKind.DRIFT,
        body={},
        previous=previous,
        hash=digest(number, BEGIN, RecordKind.DRIFT, {}, previous),
    )
    with pytest.raises(Tampered):
        verify([*RECORDS[:position], extra, *RECORDS[position:]], HEAD, KEY)


def test_a_record_twice_is_detected() -> None:
    with pytest.raises(Tampered, match="record 3 is out of order"):
        verify([*RECORDS[:3], RECORDS[2], *RECORDS[3:]], HEAD, KEY)


def test_records_of_another_ledger_with_the_same_head_count_are_detected() -> None:
    others, _ = chain(8)
    others[-1] = replace(
        others[-1], body={}, hash=digest(8, others[-1].at, others[-1].kind, {}, others[-1].previous)
    )
    with pytest.raises(Tampered, match="record 8 is not the one"):
        verify(others, HEAD, KEY)


def test_a_head_that_does_not_hold_is_never_extended() -> None:
    with pytest.raises(Tampered):
        extend(replace(HEAD, count=3), KEY, at=BEGIN, kind=RecordKind.DRIFT, body={})
    with pytest.raises(Tampered):
        extend(HEAD, b"another key", at=BEGIN, kind=RecordKind.DRIFT, body={})


def test_a_body_that_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(Invalid):
        extend(HEAD, KEY, at=BEGIN, kind=RecordKind.DRIFT, body={"x": float("nan")})


@given(st.permutations(range(8)), st.integers(0, 8))
def test_no_selection_and_order_of_records_but_the_true_one_verifies(order: list[int], count: int) -> None:
    chosen = [RECORDS[i] for i in order[:count]]
    if chosen == RECORDS:
        assert verify(chosen, HEAD, KEY) == 8
    else:
        with pytest.raises(Tampered):
            verify(chosen, HEAD, KEY)
