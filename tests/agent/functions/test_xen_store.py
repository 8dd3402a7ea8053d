"""XenStore is asked over its socket; answers that are none end the connection, not the agent."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yamori.agent.functions.xen.store import XenStore
from yamori.model.errors import Rejected, Unreachable

HEADER = struct.Struct("=IIII")
Answer = Callable[[int, int, bytes], bytes]


def honest(kind: int, number: int, content: bytes) -> bytes:
    values = {b"/a\0": b"1", b"/empty\0": b""}
    if kind == 1 and content == b"/dir\0":
        answer, told = b"x\0y\0", 1
    elif kind == 2 and content in values:
        answer, told = values[content], 2
    elif content == b"/secret\0":
        answer, told = b"EACCES\0", 16
    else:
        answer, told = b"ENOENT\0", 16
    return HEADER.pack(told, number, 0, len(answer)) + answer


class Server:
    def __init__(self, path: Path) -> None:
        self.answer: Answer = honest
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._socket.accept()
            except OSError:
                return
            with channel:
                while len(head := channel.recv(HEADER.size)) == HEADER.size:
                    kind, number, _, size = HEADER.unpack(head)
                    answer = self.answer(kind, number, channel.recv(size))
                    if not answer:
                        break
                    channel.sendall(answer)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    server = Server(path)
    yield server
    server.close()


def test_values_and_folders_are_read_and_what_is_not_there_is_none(server: Server, path: Path) -> None:
    store = XenStore((path,))
    assert store.read("/a") == "1"
    assert store.read("/empty") == ""
    assert store.read("/none") is None
    assert store.list("/dir") == ["x", "y"]
    assert store.list("/none") == []
    with pytest.raises(Rejected, match="EACCES"):
        store.read("/secret")
    store.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda kind, number, content: HEADER.pack(2, number + 1, 0, 0),
        lambda kind, number, content: HEADER.pack(2, number, 0, 1 << 30),
        lambda kind, number, content: b"",
    ],
)
def test_an_answer_that_is_none_is_unreachable_and_the_next_question_is_asked_anew(
    server: Server, path: Path, answer: Answer
) -> None:
    store = XenStore((path,))
    server.answer = answer
    with pytest.raises(Unreachable):
        store.read("/a")
    server.answer = honest
    assert store.read("/a") == "1"
    store.close()


def test_without_a_socket_it_is_unreachable(path: Path) -> None:
    with pytest.raises(Unreachable):
        XenStore((path,)).read("/a")


def test_a_path_too_long_is_refused(server: Server, path: Path) -> None:
    with pytest.raises(Rejected):
        XenStore((path,)).read("/" + "x" * 5000)
