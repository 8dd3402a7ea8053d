"""A running service over a stand-in fleet, and a way to type commands."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.web.fake_facade import FakeFacade
from tests.web.serving import TOKEN, Served, served
from yamori.cli.main import app
from yamori.trust.token import FILE
from yamori.web import service_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Type = Callable[..., Typed]


def typed(*words: str, given: str | bytes | None = None) -> Typed:
    result = CliRunner().invoke(app, list(words), input=given, prog_name="yamori")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Typed(code=result.exit_code, out=result.stdout, err=result.stderr)


def settle(directory: Path, url: str, token: str = TOKEN) -> None:
    """Make a state directory as a service would."""
    directory.mkdir(mode=0o700, exist_ok=True)
    service_file.write(directory, url)
    path = directory / FILE
    path.write_text(token + "\n", encoding="ascii")
    path.chmod(0o600)


@pytest.fixture(scope="session")
def _service() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def service(_service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The running service with a fresh stand-in, found by every command."""
    _service.facade.__dict__.update(FakeFacade().__dict__)
    settle(tmp_path / "state", _service.url)
    monkeypatch.setenv("YAMORI_STATE_DIR", str(tmp_path / "state"))
    return _service


@pytest.fixture
def run() -> Type:
    return typed
