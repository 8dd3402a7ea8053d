"""The whole of it as an operator does it, on a machine of its own: install, enrol, run, kill, remove.

/etc and /var/lib are copies in a mount namespace; the process is looked at from outside.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.agent.fleet import Controller, until
from yamori.agent.service.privileges import mask

INSIDE = Path(__file__).with_name("inside.sh")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root installs"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare"),
]
PYTHON = sys.executable
YAMORI = str(Path(PYTHON).with_name("yamori"))


class Machine:
    """A shell that lives in the namespace; commands are typed into it, one after the other."""

    def __init__(self, shell: asyncio.subprocess.Process) -> None:
        self._shell = shell

    async def type(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\nprintf '\\n:end %d\\n' $?\n".encode())
        await self._shell.stdin.drain()
        printed = []
        async with asyncio.timeout(120):
            while True:
                line = (await self._shell.stdout.readline()).decode()
                assert line, "the shell is gone"
                if found := re.fullmatch(r":end (\d+)\n", line):
                    return int(found[1]), "".join(printed).strip()
                printed.append(line)


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    shell = await asyncio.create_subprocess_exec(
        "unshare",
        "--mount",
        str(INSIDE),
        "sh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Machine(shell)
    finally:
        assert shell.stdin is not None
        shell.stdin.close()
        await shell.wait()


def status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return {name: value.strip() for name, value in re.findall(r"^(\w+):(.*)$", text, re.M)}


async def test_installed_enrolled_run_killed_and_removed(controller: Controller) -> None:
    async with machine() as host:
        code, told = await host.type(f"{YAMORI} agent install --no-service --json")
        assert code == 0, told
        code, told = await host.type(f"{YAMORI} agent install --no-service --json")
        assert json.loads(told)["changed"] is False
        uid = int((await host.type("id -u yamori-agent"))[1])

        command = f"{PYTHON} -m yamori.agent run >>/var/lib/agent.log 2>&1 & echo $!"
        pid = int((await host.type(command))[1])
        try:
            invitation = await controller.gateway.invite("rack-a", by="operator:test")
            typed = invitation.command.reveal().replace("yamori ", f"{YAMORI} ", 1)
            code, told = await host.type(f"{typed} --json")
            assert code == 0, told
            assert json.loads(told)["name"] == "rack-a"
            await until(controller.connected)

            found = status(pid)
            assert set(found["Uid"].split()) == {str(uid)}
            for field in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert found[field] == f"{mask(['CAP_NET_ADMIN']):016x}", field
            assert found["NoNewPrivs"] == "1"

            code, told = await host.type(f"{YAMORI} agent status --json")
            assert code == 0, told
            assert json.loads(told)["connected"] is True
            _, mode = await host.type("stat -c '%a %U' /var/lib/yamori-agent/identity.json")
            assert mode == "600 yamori-agent"
            support = await controller.session().probe()
            assert support.driver == "agent"

            os.kill(pid, signal.SIGKILL)
            await until(lambda: not controller.connected())
            pid = int((await host.type(command))[1])
            await until(controller.connected)
            os.kill(pid, signal.SIGTERM)
            await host.type(f"while kill -0 {pid} 2>/dev/null; do sleep 0.1; done")
            code, told = await host.type(f"{YAMORI} agent status --json")
            assert (code, json.loads(told)["running"]) == (4, False)
        finally:
            _, log = await host.type("cat /var/lib/agent.log")
            await host.type(f"kill -9 {pid}")
        assert "Traceback" not in log
        code, told = await host.type(f"{YAMORI} agent uninstall --purge --yes")
        assert code == 0, told
        assert (await host.type("id yamori-agent"))[0] != 0
        assert (await host.type("ls /var/lib/yamori-agent"))[0] != 0
