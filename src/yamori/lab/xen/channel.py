"""The lab's line to the control program in dom0 (``dom0/control.py``), over QEMU's virtio serial ports.

Each port takes one client at a time; a lock file a port lets several processes share them.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yamori.model.errors import Failed, TimedOut, Unreachable

PORTS = 4
_MOST_ANSWER = 64 << 20


def sockets(folder: Path) -> list[Path]:
    """QEMU's sockets of the ports, in the order of their numbers."""
    return [folder / f"control-{number}" for number in range(PORTS)]


class Channel:
    """Asks the control program of one host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, verb: str, *, timeout_seconds: float = 30.0, **request: Any) -> dict[str, Any]:
        """One request and its answer.

        Raises Unreachable when the host is off, TimedOut when no answer comes in time, Failed when dom0 refuses.
        """
        deadline = time.monotonic() + timeout_seconds
        number = secrets.token_hex(8)
        line = b"\n" + json.dumps({"id": number, "verb": verb, **request}).encode() + b"\n"
        with self._port(deadline) as port:
            try:
                _give(port, line, deadline)
                answer = _await(port, number, deadline)
            except TimeoutError:
                raise TimedOut(f"dom0 did not answer {verb} within {timeout_seconds} s") from None
            except OSError as error:
                raise Unreachable(f"the line to dom0 broke: {error}") from None
        if (untrusted_error := answer.get("error")) is not None:
            raise Failed(f"dom0 could not {verb}: {str(untrusted_error)[:600]}")
        return answer

    @contextmanager
    def _port(self, deadline: float) -> Iterator[socket.socket]:
        """The first port that nobody uses; waits while all are busy."""
        with self._locked(deadline) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as port:
            try:
                port.connect(str(path))
            except OSError as error:
                raise Unreachable(f"no Xen host runs behind {path}: {error}") from None
            yield port

    @contextmanager
    def _locked(self, deadline: float) -> Iterator[Path]:
        while True:
            for path in sockets(self._folder):
                handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    continue
                try:
                    yield path
                finally:
                    os.close(handle)
                return
            if time.monotonic() > deadline:
                raise TimedOut("all lines to dom0 are busy")
            time.sleep(0.05)


def _give(port: socket.socket, line: bytes, deadline: float) -> None:
    port.settimeout(max(0.01, deadline - time.monotonic()))
    port.sendall(line)


def _await(port: socket.socket, number: str, deadline: float) -> dict[str, Any]:
    """The answer with our number; what an earlier client left unread is passed over."""
    untrusted = bytearray()
    while True:
        port.settimeout(max(0.01, deadline - time.monotonic()))
        chunk = port.recv(1 << 16)
        if not chunk:
            raise Unreachable("the host is switched off")
        untrusted += chunk
        while b"\n" in chunk:
            line, _, rest = bytes(untrusted).partition(b"\n")
            untrusted, chunk = bytearray(rest), rest
            answer = _parsed(line)
            if answer.get("id") == number:
                return answer
        if len(untrusted) > _MOST_ANSWER:
            raise Failed("dom0's answer is too long")


def _parsed(untrusted_line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(untrusted_line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def encoded(content: bytes) -> str:
    """Bytes for a request."""
    return base64.b64encode(content).decode()


def decoded(answer: dict[str, Any], key: str) -> bytes:
    """Bytes of an answer; raises Failed when they are none."""
    try:
        return base64.b64decode(answer[key], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise Failed("dom0's answer is not understood") from error
