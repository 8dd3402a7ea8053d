"""What a benchmark is and what it returns: rows for people, plain JSON for programs."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """``rows`` is a table with its head first, ``notes`` what a reader must know, ``json`` the same and more."""

    title: str
    rows: Sequence[Sequence[str]]
    json: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabWish:
    """How to measure on real hypervisors. ``guests``: how many real VMs; None: as many as are quick to start.

    ``lab``: the name of one that is up and shall stay; None: one of its own, cleared at the end.
    ``scale``: 1.0 takes as many readings as make a good median, less is quicker and proves less.
    """

    scale: float = 1.0
    guests: int | None = None
    lab: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A measurement. ``run(scale, progress)``: 1.0 is the full size, smaller is quicker and proves less."""

    name: str
    summary: str
    run: Callable[[float, Progress], BenchResult]
    drivers: Mapping[str, Callable[[float, Progress], BenchResult]] = field(default_factory=dict)
    """The same measurement of one driver alone, where that can be chosen."""
    labs: Mapping[str, Callable[[LabWish, Progress], BenchResult]] = field(default_factory=dict)
    """The same on a real hypervisor of a lab on this machine; needs root."""


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load1": load,
    }


def data_folder() -> Path | None:
    """Return where the real data lies: YAMORI_DATA, or ``shared/data`` beside the checkout; None if absent."""
    told = os.environ.get("YAMORI_DATA")
    places = [Path(told)] if told else []
    places += [parent.parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    return next((place for place in places if (place / "series").is_dir() or (place / "traces").is_dir()), None)
