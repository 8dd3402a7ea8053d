from pathlib import Path

import pytest

from yamori.model.errors import NotFound, NotPermitted, Untrusted
from yamori.trust.token import FILE, check_token, keep_token, read_token


def test_a_token_is_kept_and_a_client_reads_the_same(tmp_path: Path) -> None:
    token = keep_token(tmp_path)
    assert len(token.reveal()) >= 43
    assert keep_token(tmp_path).reveal() == token.reveal()
    assert read_token(tmp_path).reveal() == token.reveal()
    assert token.reveal() not in repr(token)


def test_two_state_directories_have_different_tokens(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    assert keep_token(tmp_path / "a").reveal() != keep_token(tmp_path / "b").reveal()


@pytest.mark.parametrize("untrusted", ["", "x", "ü", "\ud800", "x" * 43, "x" * 100_000])
def test_a_wrong_token_is_not_permitted(tmp_path: Path, untrusted: str) -> None:
    token = keep_token(tmp_path)
    check_token(token.reveal(), token)
    for wrong in (untrusted, token.reveal()[:-1], token.reveal() + "x"):
        with pytest.raises(NotPermitted) as told:
            check_token(wrong, token)
        assert token.reveal() not in str(told.value)


def test_a_client_without_a_token_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_token(tmp_path)


def test_a_token_that_others_could_read_is_not_trusted(tmp_path: Path) -> None:
    keep_token(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(Untrusted):
        read_token(tmp_path)
