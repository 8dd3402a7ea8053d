"""A secret shows itself nowhere: not in a text, a log, an error, nor in a file that others can read."""

import dataclasses
import json
import logging
import pickle
import stat
import traceback
from pathlib import Path

import pytest

from yamori.model.errors import NotPermitted, Untrusted, YamoriError
from yamori.model.plain import to_plain
from yamori.model.secret import Secret
from yamori.trust.token import FILE, check_token, keep_token, read_token

WORD = "correct-horse-battery"


@dataclasses.dataclass(frozen=True)
class Holder:
    token: Secret


@pytest.mark.parametrize(
    "told",
    [repr, str, "{}".format, "{!r}".format, "%s".__mod__, lambda s: repr([s]), lambda s: repr(Holder(s))],
)
def test_a_secret_does_not_show_in_a_text(told) -> None:
    assert WORD not in told(Secret(WORD))


def test_a_secret_does_not_show_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("yamori").info("connecting with %s and %r", Secret(WORD), Holder(Secret(WORD)))
    assert "connecting" in caplog.text
    assert WORD not in caplog.text


def test_a_secret_does_not_show_in_a_traceback() -> None:
    secret = Secret(WORD)
    try:
        raise YamoriError(f"cannot use {secret}", subject=str(secret))
    except YamoriError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "cannot use" in text
    assert f"'{WORD}'" not in text.replace(f"WORD = '{WORD}'", "")


def test_a_secret_cannot_be_written_as_json() -> None:
    with pytest.raises(TypeError):
        json.dumps({"token": Secret(WORD)})
    with pytest.raises(YamoriError):
        to_plain(Secret(WORD))


def test_a_secret_has_no_attributes_to_walk() -> None:
    assert not hasattr(Secret(WORD), "__dict__")
    with pytest.raises(AttributeError):
        Secret(WORD).another = 1  # type: ignore[attr-defined]


def test_the_token_is_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    keep_token(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_the_token_stays_the_same_and_is_long_enough_not_to_be_guessed(tmp_path: Path) -> None:
    first = keep_token(tmp_path).reveal()
    assert keep_token(tmp_path).reveal() == first
    assert len(first) >= 43  # 256 bits in base64


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o777])
def test_a_token_that_others_could_read_is_not_used(tmp_path: Path, mode: int) -> None:
    keep_token(tmp_path)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(Untrusted):
        read_token(tmp_path)


def test_a_link_in_place_of_the_token_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("chosen-by-somebody-else\n")
    elsewhere.chmod(0o600)
    (tmp_path / FILE).symlink_to(elsewhere)
    with pytest.raises(Untrusted):
        read_token(tmp_path)


@pytest.mark.parametrize("wrong", ["", "x", WORD[:-1], WORD + "x", WORD.upper(), "\udcff", "ü" * 1000])
def test_a_wrong_token_is_refused_and_the_refusal_tells_nothing_of_the_right_one(wrong: str) -> None:
    with pytest.raises(NotPermitted) as refusal:
        check_token(wrong, Secret(WORD))
    assert WORD not in str(refusal.value)


def test_a_pickled_secret_is_no_way_out() -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(Secret(WORD), protocol=1)
