"""Runs xentrace and adds up what it tells, for as long as the agent lives.

Only one reader of Xen's trace buffers can be at work on a host: while an operator traces, the waiting is unknown.
"""

import contextlib
import logging
import os
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping

from yamori.agent.functions.xen.library import version
from yamori.agent.functions.xen.trace import MASK, Stream
from yamori.agent.functions.xen.waiting import Waits
from yamori.model.errors import Unsupported

_log = logging.getLogger(__name__)

_PAGES = 64
"""Pages of trace buffer for each CPU: 16,000 changes between two polls."""
_POLL_MS = 100
LAG_S = 0.5
"""How far behind the present the waiting is told: by then its records have come."""
_PIECE = 1 << 18
_MOST_HELD = 400_000
_PAUSES_S = (1.0, 5.0, 30.0, 120.0)
_SILENT_S = 10.0
"""Something always changes on a host that runs this; nothing heard for so long is not known."""


class Tracer:
    """A child and a thread that reads from it. ``command`` is for tests."""

    def __init__(self, tsc_hz: float, command: tuple[str, ...] | None = None) -> None:
        self._hz = tsc_hz
        self._command = command or _command()
        self._waits = Waits()
        self._lock = threading.Lock()
        self._anchors: deque[float] = deque(maxlen=64)
        self._heard = 0.0
        self._why = "xentrace has only just begun"
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="xentrace", daemon=True)
        self._thread.start()

    @property
    def why_not(self) -> str | None:
        """Why the waiting is not known now; None when it is."""
        if time.monotonic() - self._heard > _SILENT_S:
            return self._why
        return None

    def wait_begun(self, seconds: float) -> bool:
        """Wait until something can be told; say whether it can."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._thread.is_alive():
            with self._lock:
                self._waits.advance()
                if self._waits.begun:
                    return True
            time.sleep(0.1)
        return False

    def told(self, domains: Iterable[int]) -> Mapping[int, float] | None:
        """Return the seconds that each domain's vCPUs have waited, as of ``LAG_S`` ago; None when not known."""
        with self._lock:
            if self.why_not is not None or not self._anchors:
                return None
            present = max(self._anchors) + time.monotonic() * self._hz
            self._waits.advance(int(present - LAG_S * self._hz))
            found = self._waits.told(domains)
        return None if found is None else {domain: ticks / self._hz for domain, ticks in found.items()}

    def close(self) -> None:
        """Let xentrace switch tracing off and end."""
        self._stopping.set()
        child = self._child
        if child is not None:
            _end(child)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._trace()
                self._why = "xentrace has ended"
            except Exception as error:  # noqa: BLE001 -- the thread's edge: whatever broke, it begins anew
                self._why = f"xentrace: {error}"[:300]
            if self._stopping.is_set():
                return
            _log.warning("waiting of vCPUs is not known for now: %s", self._why)
            failures = 0 if time.monotonic() - began > _PAUSES_S[-1] else failures + 1
            self._stopping.wait(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])

    def _trace(self) -> None:
        """Read until the child ends. Raises Failed, OSError."""
        # Not through a shell, and not by "-", which this program takes for a file's name.
        self._child = subprocess.Popen(
            [*self._command, "/proc/self/fd/1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            close_fds=True,
        )
        stream = Stream()
        with self._lock:
            self._waits.lose()
            self._anchors.clear()
        output = self._child.stdout
        try:
            while output is not None and (piece := os.read(output.fileno(), _PIECE)):
                self._take(stream, piece)
        finally:
            _end(self._child)
            if output is not None:
                output.close()

    def _take(self, stream: Stream, piece: bytes) -> None:
        windows = stream.feed(piece)
        with self._lock:
            self._waits.add(windows)
            self._heard = time.monotonic()
            if windows and self._waits.newest >= 0:
                self._anchors.append(self._waits.newest - self._heard * self._hz)
            if self._waits.held > _MOST_HELD:
                self._waits.advance()


def _command() -> tuple[str, ...]:
    folder = "/usr/lib/xen-{}.{}/bin".format(*version())
    found = shutil.which("xentrace", path=f"{folder}:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/lib/xen/bin")
    if found is None:
        raise Unsupported("usage.cpu_delay", "xentrace is not installed", mend="install Xen's xentrace")
    return (found, "-D", "-e", f"{MASK:#x}", "-s", str(_POLL_MS), "-S", str(_PAGES))


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=5)
