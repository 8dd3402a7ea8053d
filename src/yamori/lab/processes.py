"""Processes that the lab starts: identity that survives pid reuse, start after record, sure end.

A process is identified by its pid together with its start time in clock ticks since boot
(field 22 of ``/proc/PID/stat``, proc(5)); a reused pid has another start time and is never signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from yamori.model.errors import Failed, TimedOut

_children: list[subprocess.Popen[bytes]] = []
"""Children of this process; kept so that they can be reaped when they end."""

_GATE = 'read -r permission || exit 97; exec "$@" </dev/null'


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process of this boot of this machine: ``pid`` and ``started`` (ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Read the identity of a living process; None when there is none (a zombie counts as gone)."""
        fields = _stat_fields(pid)
        if fields is None or fields[0] in ("Z", "X"):
            return None
        return cls(pid=pid, started=int(fields[19]))

    @classmethod
    def own(cls) -> ProcessId:
        """The calling process."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise Failed("cannot read /proc/self/stat: is /proc mounted?")
        return identity

    def alive(self) -> bool:
        """Whether this very process, not a later one with the same pid, still runs."""
        return ProcessId.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal the process; False when it is gone already.

        The pidfd is opened first and the identity compared after, so the signal cannot reach a successor.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def _stat_fields(pid: int) -> list[str] | None:
    """Fields 3 and following of /proc/PID/stat; the command name (field 2) may hold blanks and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def end(processes: Iterable[ProcessId], *, timeout_seconds: float = 20.0) -> list[ProcessId]:
    """SIGKILL the given processes and wait until they are gone; returns those which were alive.

    Raises TimedOut when one survives (a process in uninterruptible sleep, for instance).
    """
    killed = [process for process in processes if process.send(signal.SIGKILL)]
    wait_gone(killed, timeout_seconds=timeout_seconds)
    return killed


def wait_gone(processes: Iterable[ProcessId], *, timeout_seconds: float) -> None:
    """Wait until none of the processes is alive; raises TimedOut after the time-out."""
    deadline = time.monotonic() + timeout_seconds
    left = list(processes)
    while left := [process for process in left if process.alive()]:
        if time.monotonic() > deadline:
            raise TimedOut(f"processes {[process.pid for process in left]} did not end within {timeout_seconds} s")
        time.sleep(0.02)
    _children[:] = [child for child in _children if child.poll() is None]


def start_recorded(
    command: Sequence[str],
    *,
    record: Callable[[ProcessId], None],
    log: Path,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that waits until ``record`` has stored its identity, then becomes the command.

    The gate is a shell blocked in ``read``: when this process dies before it could record, the shell
    reads end-of-file and ends without ever having run the command.
    """
    with log.open("ab") as sink:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, "yamori-lab", *command],
            stdin=subprocess.PIPE,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            start_new_session=True,
            env=dict(environment) if environment is not None else None,
            cwd="/",
        )
    identity = ProcessId.of(child.pid)
    if identity is None or child.stdin is None:
        raise Failed(f"{command[0]} ended before it began, see {log}")
    try:
        record(identity)
        child.stdin.write(b"go\n")
        child.stdin.close()
    except BaseException:
        child.kill()
        child.wait()
        with contextlib.suppress(OSError):
            child.stdin.close()
        raise
    _children.append(child)
    return child
