"""Long programs that make something for a lab, run so that clearing the lab ends them, whoever clears it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from yamori.lab import cgroup
from yamori.lab.layout import Layout
from yamori.lab.processes import ProcessId, start_recorded
from yamori.lab.registry import Registry
from yamori.model.errors import Failed, TimedOut

_TAIL = 800


class Workshop:
    """Where a lab's programs run: recorded before they begin, in a control group of their own, with one log."""

    def __init__(self, layout: Layout, registry: Registry, *, check: Callable[[], None]) -> None:
        """Call ``check`` all the time while something runs; it may raise to give up."""
        self._registry = registry
        self._group = f"{layout.cgroup}/workshop"
        self._log = layout.directory / "workshop.log"
        self._check = check

    @property
    def log(self) -> Path:
        """What the programs said."""
        return self._log

    def open(self) -> None:
        """Make the control group; the lab's own must exist."""
        cgroup.make(self._registry, self._group)

    def admit(self, identity: ProcessId) -> None:
        """Record a process and move it into the workshop's group, before it begins."""
        self._registry.process(identity, "workshop")
        cgroup.enter(self._group, identity.pid)

    def end_all(self) -> None:
        """Kill whatever still runs here."""
        cgroup.kill_all(self._group)

    def wait(self, seconds: float) -> None:
        """Sleep, but give up as soon as the check says so."""
        self._check()
        time.sleep(seconds)

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> None:
        """Run a program to its end; raises Failed with the end of the log, TimedOut past the limit."""
        child = start_recorded(command, record=self.admit, log=self._log)
        deadline = time.monotonic() + timeout_seconds
        try:
            while child.poll() is None and time.monotonic() < deadline:
                self.wait(0.1)
            late = child.poll() is None
        finally:
            if child.poll() is None:
                self.end_all()
                child.wait()
        if late:
            raise TimedOut(f"{command[0]} gave no result within {timeout_seconds} s", mend=f"see {self._log}")
        if child.returncode != 0:
            untrusted_tail = self._log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
            raise Failed(f"{command[0]} ended with {child.returncode}: {untrusted_tail}", mend=f"see {self._log}")
