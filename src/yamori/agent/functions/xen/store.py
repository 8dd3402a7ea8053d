"""XenStore, read only, over its own socket (docs/misc/xenstore.txt of Xen, "Communication with xenstore").

Read only what dom0 has written: a guest may write below its own ``/local/domain/N/device``, never read here.
"""

import socket
import struct
from pathlib import Path

from yamori.model.errors import Rejected, Unreachable

SOCKETS = (Path("/run/xenstored/socket"), Path("/var/run/xenstored/socket"))
_HEADER = struct.Struct("=IIII")
_DIRECTORY, _READ, _ERROR = 1, 2, 16
_MOST = 4096
"""XENSTORE_PAYLOAD_MAX."""
_PATIENCE_S = 10.0


class XenStore:
    """One connection, made when it is needed and made anew after a failure. Blocking; for one thread."""

    def __init__(self, sockets: tuple[Path, ...] = SOCKETS) -> None:
        self._sockets = sockets
        self._channel: socket.socket | None = None
        self._number = 0

    def read(self, path: str) -> str | None:
        """Return a value, None when there is none. Raises Unreachable, Rejected."""
        found = self._ask(_READ, path)
        return None if found is None else found.decode("utf-8", "replace")

    def list(self, path: str) -> list[str]:
        """Return the names below a path; none when there is no such path. Raises Unreachable, Rejected."""
        found = self._ask(_DIRECTORY, path) or b""
        return [name.decode("utf-8", "replace") for name in found.split(b"\0") if name]

    def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _ask(self, kind: int, path: str) -> bytes | None:
        content = path.encode() + b"\0"
        if len(content) > _MOST:
            raise Rejected("a path too long for XenStore")
        channel = self._channel or self._connected()
        self._channel = channel
        self._number = (self._number + 1) & 0xFFFF_FFFF
        try:
            channel.sendall(_HEADER.pack(kind, self._number, 0, len(content)) + content)
            answered, number, _, size = _HEADER.unpack(_exactly(channel, _HEADER.size))
            if number != self._number or size > _MOST:
                raise ConnectionError("an answer to another question")
            answer = _exactly(channel, size)
        except OSError as error:
            self.close()
            raise Unreachable(f"XenStore does not answer: {error}") from error
        if answered == _ERROR:
            word = answer.rstrip(b"\0").decode("ascii", "replace")
            if word == "ENOENT":
                return None
            raise Rejected(f"XenStore refuses to tell {path}: {word}"[:300])
        return answer

    def _connected(self) -> socket.socket:
        refusal: OSError | None = None
        for path in self._sockets:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.settimeout(_PATIENCE_S)
            try:
                channel.connect(str(path))
            except OSError as error:
                channel.close()
                refusal = error
            else:
                return channel
        raise Unreachable(f"XenStore cannot be reached: {refusal}")


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = channel.recv(size)
        if not part:
            raise ConnectionError("XenStore has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
