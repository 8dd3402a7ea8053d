"""How well the guests' neighbours are served, measured from outside and independent of any hypervisor counter."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from yamori.lab import cgroup, wire
from yamori.lab.lab import Lab
from yamori.lab.processes import ProcessId, end, start_recorded
from yamori.model.errors import Conflict, Unreachable

_KEPT_SECONDS = 1800.0
_CALIBRATION_ITERATIONS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the probe asks of each guest: requests a second, CPU seconds, touched pages, disk reads a request."""

    rate: float = 10.0
    cpu_seconds: float = 0.016
    pages: int = 128
    blocks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request: when it was sent (time.monotonic()), and its times in seconds, NaN when it got no answer."""

    sent: float
    guest: str
    latency: float
    cpu: float
    memory: float
    disk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStats:
    """Service of one guest in one window. Times in seconds; NaN means that nothing was answered.

    Percentiles count an unanswered request as infinitely late, so a dead service never looks fast.
    """

    guest: str
    asked: int
    answered: int
    answered_per_second: float
    latency_p50: float
    latency_p95: float
    cpu_p50: float
    cpu_p95: float
    memory_p50: float
    memory_p95: float
    disk_p50: float
    disk_p95: float

    def as_record(self) -> dict[str, Any]:
        """Plain values for printing."""
        return asdict(self)


class ServiceProbe:
    """Measures continuously from the lab's switch while it is open; use as a context manager."""

    def __init__(self, lab: Lab, *, guests: Sequence[str] | None = None, load: Load | None = None) -> None:
        self._lab = lab
        self._guests = tuple(guests if guests is not None else lab.guests)
        self._load = load or Load()
        self._samples: deque[Sample] = deque()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> ServiceProbe:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Calibrate the CPU part of a request on the quiet guests, then ask them all, steadily.

        Raises Unreachable when a guest does not answer, Conflict when the probe runs already.
        """
        if self._child is not None:
            raise Conflict("the probe is running")
        layout = self._lab.layout
        settings = {
            "namespace": layout.switch_namespace,
            "addresses": {name: self._lab.guest_address(name) for name in self._guests},
            "work": asdict(
                wire.Work(iterations=self._iterations(), pages=self._load.pages, blocks=self._load.blocks)
            ),
            "rate": self._load.rate,
        }
        child = start_recorded(
            [sys.executable, "-m", "yamori.lab.prober", json.dumps(settings)],
            record=lambda identity: self._lab.registry.process(identity, "probe"),
            log=layout.directory / "probe.log",
            stdout=subprocess.PIPE,
        )
        cgroup.enter(f"{layout.cgroup}/arrays", child.pid)
        self._child = child
        self._reader = threading.Thread(target=self._read, args=(child,), name="lab-probe", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the client; what was measured stays readable."""
        if self._child is None:
            return
        identity = ProcessId.of(self._child.pid)
        end([identity] if identity else [])
        self._child.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child = None

    def window(self, since: float, until: float | None = None) -> dict[str, ServiceStats]:
        """Service per guest of the requests sent in [since, until), times of ``time.monotonic()``."""
        end_at = time.monotonic() if until is None else until
        with self._lock:
            samples = [sample for sample in self._samples if since <= sample.sent < end_at]
        span = max(end_at - since, 1e-9)
        return {name: _stats(name, [s for s in samples if s.guest == name], span) for name in self._guests}

    def samples(self, since: float = 0.0) -> list[Sample]:
        """Single requests sent since then, oldest first by the time of their answer."""
        with self._lock:
            return [sample for sample in self._samples if sample.sent >= since]

    def _iterations(self) -> int:
        """Loop iterations that cost ``cpu_seconds`` on an undisturbed guest: the fastest of a few tries."""
        best = math.inf
        for name in self._guests:
            for _ in range(3):
                work = wire.Work(iterations=_CALIBRATION_ITERATIONS)
                space, address = self._lab.layout.switch_namespace, self._lab.guest_address(name)
                answer = wire.ask(space, address, work, timeout_seconds=5)
                if answer is None:
                    raise Unreachable(f"{name} does not serve")
                best = min(best, answer.cpu_seconds)
        return max(1, int(_CALIBRATION_ITERATIONS * self._load.cpu_seconds / best))

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        if child.stdout is None:
            return
        for line in child.stdout:
            sent, guest, *times, _ = json.loads(line)
            latency, cpu, memory, disk = (math.nan if value is None else float(value) for value in times)
            sample = Sample(sent=sent, guest=guest, latency=latency, cpu=cpu, memory=memory, disk=disk)
            with self._lock:
                self._samples.append(sample)
                while self._samples and self._samples[0].sent < sent - _KEPT_SECONDS:
                    self._samples.popleft()


def _stats(guest: str, samples: Sequence[Sample], span: float) -> ServiceStats:
    answered = sum(not math.isnan(sample.latency) for sample in samples)
    quantiles = {}
    for part in ("latency", "cpu", "memory", "disk"):
        values = [getattr(sample, part) for sample in samples]
        quantiles[f"{part}_p50"] = _quantile(values, 0.50)
        quantiles[f"{part}_p95"] = _quantile(values, 0.95)
    return ServiceStats(
        guest=guest,
        asked=len(samples),
        answered=answered,
        answered_per_second=answered / span,
        **quantiles,
    )


def _quantile(values: Iterable[float], share: float) -> float:
    """Nearest-rank quantile; an unanswered request (NaN) counts as infinite; NaN without any value."""
    ordered = sorted(math.inf if math.isnan(value) else value for value in values)
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
