"""The datagrams between probe and service (``guest/service.c``), and the guest's control line."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from yamori.lab.nsenter import socket_in
from yamori.model.errors import Failed, Invalid, Unreachable

SERVICE_PORT = 7100
CONTROL_PORT = 7001
_MAGIC = 0x594D5331
_REQUEST = struct.Struct("!IIIII")
_ANSWER = struct.Struct("!IIQQQQI")
_LONGEST_REPLY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one request costs in the guest: loop iterations, pages of the working set touched, 4 KiB disk reads."""

    iterations: int = 0
    pages: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the guest measured of one request, in seconds of its own clock."""

    sequence: int
    cpu_seconds: float
    memory_seconds: float
    disk_seconds: float
    disk_errors: int


def request(sequence: int, work: Work) -> bytes:
    """Encode a request."""
    return _REQUEST.pack(_MAGIC, sequence & 0xFFFFFFFF, work.iterations, work.pages, work.blocks)


def parse_answer(untrusted_datagram: bytes) -> Answer:
    """Decode an answer; raises Invalid when it is none. Component times are bounded to an hour."""
    if len(untrusted_datagram) != _ANSWER.size:
        raise Invalid(f"an answer has {_ANSWER.size} bytes, not {len(untrusted_datagram)}")
    magic, sequence, cpu, memory, disk, _, errors = _ANSWER.unpack(untrusted_datagram)
    if magic != _MAGIC or max(cpu, memory, disk) > 3600 * 10**9:
        raise Invalid("the datagram is no answer of a lab guest")
    return Answer(
        sequence=sequence,
        cpu_seconds=cpu / 1e9,
        memory_seconds=memory / 1e9,
        disk_seconds=disk / 1e9,
        disk_errors=errors,
    )


def ask(namespace: str, address: str, work: Work, *, timeout_seconds: float = 1.0) -> Answer | None:
    """One request from inside the namespace; None when no answer comes in time."""
    with socket_in(namespace, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout_seconds)
        try:
            channel.connect((address, SERVICE_PORT))
            channel.send(request(1, work))
            return parse_answer(channel.recv(2048))
        except (TimeoutError, OSError):
            return None


def command(namespace: str, address: str, line: str, *, timeout_seconds: float = 20.0) -> str:
    """Give the guest's control port one line and return its one-word or two-word reply.

    Raises Unreachable when the guest does not answer in time, Failed when it refuses.
    """
    with socket_in(namespace, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout_seconds)
        try:
            channel.connect((address, CONTROL_PORT))
            channel.sendall(line.encode() + b"\n")
            untrusted_reply = channel.recv(_LONGEST_REPLY)
        except OSError as error:
            raise Unreachable(f"guest at {address} did not answer {line!r}: {error}") from error
    reply = untrusted_reply.decode("ascii", errors="replace").strip()
    if reply in ("", "refused", "failed"):
        raise Failed(f"guest at {address} answered {reply!r} to {line!r}")
    return reply
