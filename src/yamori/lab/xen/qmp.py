"""QEMU's monitor protocol as far as the lab needs it (QEMU: "QEMU Machine Protocol Specification")."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from yamori.model.errors import Failed, TimedOut

_LONGEST_LINE = 1 << 20


class Monitor:
    """A connection to one QEMU; a context manager."""

    def __init__(self, path: Path, *, timeout_seconds: float = 30.0) -> None:
        """Connect and leave negotiation mode; raises Failed when nobody listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        self._rest = b""
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise Failed(f"QEMU's monitor {path} does not answer: {error}") from None
        self._line()
        self.execute("qmp_capabilities")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Give a command and return its result; events are passed over. Raises Failed when QEMU refuses."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self._line()
            if "error" in answer:
                raise Failed(f"QEMU refused {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def save_state(self, target: Path, *, timeout_seconds: float = 120.0) -> None:
        """Write the whole machine but its disks into a file; afterwards it stands still for good."""
        self.execute("migrate-set-parameters", **{"max-bandwidth": 10**10, "downtime-limit": 60_000})
        self.execute("migrate", uri=f"exec:cat > {target}")
        deadline = time.monotonic() + timeout_seconds
        while True:
            told = self.execute("query-migrate")
            if told.get("status") == "completed":
                return
            if told.get("status") == "failed" or time.monotonic() > deadline:
                raise Failed(f"QEMU could not write its state: {told.get('error-desc', told.get('status'))}")
            time.sleep(0.05)

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                raise TimedOut("QEMU's monitor gave no answer in time") from None
            except OSError as error:
                raise Failed(f"QEMU's monitor is gone: {error}") from None
            if not chunk or len(self._rest) > _LONGEST_LINE:
                raise Failed("QEMU's monitor closed the connection")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise Failed("QEMU's monitor does not speak its own protocol")
        return answer
