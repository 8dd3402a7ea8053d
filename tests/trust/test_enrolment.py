"""Tokens: one word that holds everything, that shows itself nowhere, and that nothing else is taken for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.model.errors import Invalid
from yamori.trust.enrolment import LONGEST, digest, new_token, read_token_text, same_digest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AUTHORITY = "ab" * 32


def test_a_token_comes_back_as_it_was_made() -> None:
    token, grant = new_token("rack-a.example_1", AUTHORITY, now=NOW, expires_at=NOW + timedelta(hours=1))
    text = token.text().reveal()
    assert len(text) <= LONGEST
    again = read_token_text(f"  {text}\n")
    assert (again.name, again.authority, again.id) == ("rack-a.example_1", AUTHORITY, grant.id)
    assert same_digest(digest(again.secret), grant.digest)
    assert token.secret.reveal() not in repr((token, grant, again))
    assert token.secret.reveal() not in grant.digest


def test_no_two_tokens_are_alike() -> None:
    made = [new_token("a", AUTHORITY, now=NOW, expires_at=NOW)[0] for _ in range(50)]
    assert len({token.secret.reveal() for token in made}) == len({token.id for token in made}) == 50


@given(st.text(max_size=LONGEST + 10))
def test_no_text_whatever_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_token_text(text)
    assert len(str(refused.value)) < 200


def test_a_refusal_does_not_repeat_a_token_that_was_copied_badly() -> None:
    text = new_token("rack-a", AUTHORITY, now=NOW, expires_at=NOW)[0].text().reveal()
    for wrong in (
        text[:-1],
        text + "x",
        text.upper(),
        text.replace("ya1", "ya2"),
        text.replace("rack-a", "Rack A"),
    ):
        with pytest.raises(Invalid) as refused:
            read_token_text(wrong)
        assert text.rpartition(":")[2][:20] not in str(refused.value)
