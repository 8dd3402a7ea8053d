"""Yamori's agent in dom0 of a Xen host of the lab, as an operator would bring it there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from yamori.lab.xen.host import XenHost
from yamori.model.errors import Failed
from yamori.model.secret import Secret

LOG = "/var/log/yamori-agent.log"
CONFIG = "/etc/yamori/agent.yaml"
_COMMAND = ("python3", "-m", "yamori.agent")
_INSTALL_SECONDS = 120.0
"""A dom0 that is emulated takes long to load Python's libraries for the first time."""
_LOOPBACK = "127.0.9.{}"


class XenAgent:
    """The agent of one Xen host: without a service manager, since PID 1 of the lab's dom0 is a script.

    ``passage`` is what its file says of the way of memory to other hosts, as ``passage_of`` has it.
    """

    def __init__(self, host: XenHost, *, passage: Mapping[str, Any] | None = None) -> None:
        self._host = host
        self._passage = passage
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id in dom0, None while it was not started."""
        return self._pid

    def install(self) -> None:
        """Write its file, make its user, its folders and its access. Raises Failed, TimedOut."""
        if self._passage is not None:
            self._host.put(CONFIG, json.dumps({"passage": self._passage}).encode())
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


def passage_of(host: XenHost, hosts: Sequence[XenHost]) -> dict[str, Any]:
    """Return the passage's settings for one of these hosts; agents are named as their hosts."""
    loopback = {each.name: _LOOPBACK.format(number) for number, each in enumerate(hosts, start=11)}
    peers = {
        each.name: {"address": each.address, "loopback": loopback[each.name]}
        for each in hosts
        if each.name != host.name
    }
    return {"listen": host.address, "loopback": loopback[host.name], "peers": peers}
