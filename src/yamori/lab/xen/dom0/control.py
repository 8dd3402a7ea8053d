"""The control line of a Xen host, in dom0: one JSON object a line in and out, over virtio serial ports.

Stdlib only. Needs no network, so it works before the host has an address and while its wire is cut. A line that
was torn by a client's death ends at the newline with which every client begins, and is answered with an error.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORTS = Path("/sys/class/virtio-ports")
PREFIX = "yamori."
IDLE_SECONDS, BUSY_SECONDS = 0.1, 0.005
MOST_LINE = 256 << 20
MOST_OUTPUT = 32 << 20
RNDRESEEDCRNG = 0x5207  # <linux/random.h>


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a program to its end or its time limit."""
    given = base64.b64decode(request.get("stdin", ""))
    environment = {**os.environ, **request.get("environment", {})}
    with subprocess.Popen(
        request["command"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        cwd="/",
    ) as child:
        try:
            output, errors = child.communicate(given, timeout=request["timeout"])
            late = False
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            output, errors = child.communicate()
            late = True
    return {"status": child.returncode, "output": text(output), "errors": text(errors), "late": late}


def text(content: bytes) -> str:
    """Bytes for a line."""
    return base64.b64encode(content[-MOST_OUTPUT:]).decode()


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Start a program that goes on, with a log file."""
    with Path(request["log"]).open("ab") as log:
        child = subprocess.Popen(
            request["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **request.get("environment", {})},
            start_new_session=True,
            cwd="/",
        )
    threading.Thread(target=child.wait, daemon=True).start()
    return {"pid": child.pid}


def put(request: dict[str, Any]) -> dict[str, Any]:
    """Write a file whole or not at all."""
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(base64.b64decode(request["content"]))
    aside.chmod(request["mode"])
    aside.replace(path)
    return {}


def get(request: dict[str, Any]) -> dict[str, Any]:
    """Read a file."""
    return {"content": text(Path(request["path"]).read_bytes())}


def unpack(request: dict[str, Any]) -> dict[str, Any]:
    """Unpack a tar archive below a folder; by tar, since Python needs ten times as long for it under emulation."""
    command = ["tar", "-x", "--no-same-owner", "-C", request["folder"]]
    subprocess.run(command, input=base64.b64decode(request["content"]), check=True, capture_output=True)
    return {}


def wake(request: dict[str, Any]) -> dict[str, Any]:
    """After a restore: set the clock, and make this machine's random numbers its own."""
    time.clock_settime(time.CLOCK_REALTIME, request["seconds"])
    with Path("/dev/urandom").open("wb") as device:
        device.write(base64.b64decode(request["seed"]))
    with Path("/dev/urandom").open("rb") as device:
        fcntl.ioctl(device, RNDRESEEDCRNG)
    return {"uptime": float(Path("/proc/uptime").read_text().split()[0])}


VERBS = {verb.__name__: verb for verb in (run, start, put, get, unpack, wake)}


def answer(line: bytes) -> bytes:
    """The answer to one line."""
    reply: dict[str, Any] = {"id": None}
    try:
        request = json.loads(line)
        reply["id"] = request["id"]
        reply.update(VERBS[request["verb"]](request))
    except Exception as error:  # noqa: BLE001 whatever went wrong is for the one who asked
        reply["error"] = f"{type(error).__name__}: {error}"
    return json.dumps(reply).encode() + b"\n"


class Port:
    """One port and the line that is being read from it."""

    def __init__(self, device: Path) -> None:
        self.handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = bytearray()

    def read(self) -> bool:
        """Take what has come and answer every complete line; False when nothing came."""
        try:
            chunk = os.read(self.handle, 65536)
        except BlockingIOError:
            return False
        if not chunk or len(self._rest) > MOST_LINE:
            self._rest.clear()
            return False
        self._rest += chunk
        while b"\n" in chunk:
            line, _, rest = bytes(self._rest).partition(b"\n")
            self._rest = bytearray(rest)
            chunk = rest
            if line.strip():
                threading.Thread(target=self._reply, args=(line,), daemon=True).start()
        return True

    def _reply(self, line: bytes) -> None:
        left = memoryview(answer(line))
        while left:
            try:
                left = left[os.write(self.handle, left) :]
            except BlockingIOError:
                time.sleep(0.01)
                if hung_up(self.handle):
                    return


def hung_up(handle: int) -> bool:
    """Whether nobody is at the other end."""
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def main() -> None:
    """Serve all our ports for ever."""
    ports = []
    for entry in sorted(PORTS.iterdir()):
        if (entry / "name").read_text().startswith(PREFIX):
            ports.append(Port(Path("/dev") / entry.name))
    poll = select.poll()
    for port in ports:
        poll.register(port.handle, select.POLLIN)
    by_handle = {port.handle: port for port in ports}
    last = time.monotonic()
    while True:
        came = [by_handle[handle].read() for handle, _ in poll.poll()]
        if any(came):
            last = time.monotonic()
        else:
            # a port without a client reports its hang-up all the time, so poll is no place to wait
            time.sleep(BUSY_SECONDS if time.monotonic() - last < 1.0 else IDLE_SECONDS)


if __name__ == "__main__":
    main()
