"""The way in: a person at a terminal gets the link, a log never does."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from yamori.cli.welcome import welcome
from yamori.model.secret import Secret

SERVICE = SimpleNamespace(url="http://127.0.0.1:8470", state_dir=Path("/var/lib/yamori"), token=Secret("t0k3n"))


@pytest.mark.parametrize(("out", "err"), [(True, True), (True, False), (False, True), (False, False)])
def test_only_a_person_is_shown_the_link_that_holds_the_token(monkeypatch, out, err):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: out)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: err)
    told: list[str] = []
    welcome(SERVICE, told.append)
    assert told[0] == "Yamori serves at http://127.0.0.1:8470"
    assert ("log in: http://127.0.0.1:8470/login#t0k3n" in told) is (out and err)
    assert "/var/lib/yamori" in told[-1]
