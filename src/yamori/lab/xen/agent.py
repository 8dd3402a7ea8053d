"""Yamori's agent in dom0 of a Xen host of the lab, as an operator would bring it there."""

from __future__ import annotations

import contextlib

from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed
from yamori.model.secret import Secret

LOG = "/var/log/yamori-agent.log"
_COMMAND = ("python3", "-m", "yamori.agent")
_INSTALL_SECONDS = 120.0
"""A dom0 that is emulated takes long to load Python's libraries for the first time."""


class XenAgent:
    """The agent of one Xen host: without a service manager, since PID 1 of the lab's dom0 is a script."""

    def __init__(self, host: XenHost) -> None:
        self._host = host
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id in dom0, None while it was not started."""
        return self._pid

    def install(self) -> None:
        """Make its user, its folders and its access. Raises Failed, TimedOut."""
        self._host.run(["yamori", "agent", "install", "--no-service"], timeout_seconds=_INSTALL_SECONDS)

    def enrol(self, controller: str, token: Secret) -> None:
        """Enrol at a controller (HOST:PORT). Raises Failed with what the agent said, TimedOut."""
        self._host.run(
            [*_COMMAND, "enrol", "--controller", controller, "--token", "-"],
            stdin=f"{token.reveal()}\n".encode(),
            timeout_seconds=_INSTALL_SECONDS,
        )

    def start(self) -> None:
        """Start it; it connects by itself."""
        self._pid = self._host.spawn([*_COMMAND, "run"], log=LOG)

    def kill(self, *, signal: str = "KILL") -> None:
        """End it, without a good-bye unless another signal is named; no error when it does not run."""
        if self._pid is None:
            return
        with contextlib.suppress(Failed):
            self._host.run(["kill", f"-{signal}", str(self._pid)])
        self._pid = None

    def log(self) -> str:
        """What it has said, untrusted."""
        return self._host.read(LOG).decode(errors="replace")[-20_000:]
