"""What an operator says in the agent's file about the passage is read strictly; nothing need be said."""

from pathlib import Path

import pytest

from yamori.agent.service.settings import read_settings
from yamori.model.errors import Invalid

FILE = """
passage:
  listen: 10.0.0.11
  loopback: 127.0.9.11
  peers:
    xen-b: {address: 10.0.0.12, loopback: 127.0.9.12}
host:
  functions: [usage, passage]
"""


def _read(folder: Path, text: str) -> object:
    path = folder / "agent.yaml"
    path.write_text(text)
    return read_settings(path)


def test_the_passage_is_read_with_its_usual_ports(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(FILE)
    passage = read_settings(path).agent.passage
    assert passage is not None
    assert (passage.port, passage.peers["xen-b"].port, passage.first_port, passage.ports) == (
        49300,
        49300,
        49400,
        32,
    )
    assert passage.has(49431)
    assert not passage.has(49432)
    assert passage.bytes_s is None


def test_without_a_word_there_is_no_passage(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("# nothing\n")
    assert read_settings(path).agent.passage is None


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("127.0.9.12", "10.0.0.12"),
        ("127.0.9.12", "127.0.9.11"),
        ("xen-b:", "Xen B:"),
        ("listen: 10.0.0.11", "port: 80"),
        ("listen: 10.0.0.11", "listen: 10.0.0.11\n  key: /etc/key.pem"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, said: str, wrong: str) -> None:
    with pytest.raises(Invalid, match="passage"):
        _read(tmp_path, FILE.replace(said, wrong, 1))
