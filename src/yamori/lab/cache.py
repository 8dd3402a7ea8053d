"""Things that are slow to make are made once and kept, keyed by all that went into them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from yamori.lab.layout import CACHE_ROOT

_LOCK = "lock"
"""Held while folders aside come and go, so that one that has just been made is never taken for a stale one."""


def key_of(parts: Iterable[bytes]) -> str:
    """A short digest of everything that a cached thing depends on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:20]


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` in the cache; made by ``make`` in a folder aside and renamed into place when whole.

    Two labs may make the same at once: the first rename wins, the other's work is thrown away.
    """
    final = CACHE_ROOT / name
    if final.is_dir():
        return final
    sweep()
    with _aside(name) as aside:
        make(aside)
        aside.chmod(0o755)
        try:
            aside.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    os.sync()
    return final


@contextmanager
def _aside(name: str) -> Iterator[Path]:
    """A folder that nobody sweeps away while this process works in it; gone afterwards unless it was renamed."""
    with _locked():
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE_ROOT))
        handle = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield aside
    finally:
        if aside.exists():
            shutil.rmtree(aside)
        os.close(handle)


def sweep() -> list[str]:
    """Remove half-made folders whose makers have died; returns their names."""
    swept = []
    with _locked():
        for path in CACHE_ROOT.glob(".*"):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # what an orphan of the dead maker still writes is left to the next sweep
                shutil.rmtree(path, ignore_errors=True)
                swept.append(path.name)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)
    return swept


def prune(prefix: str, *, keep: Collection[str]) -> list[str]:
    """Remove kept folders of a kind but those named; returns the names of the removed."""
    gone = []
    with _locked():
        for path in CACHE_ROOT.glob(f"{prefix}*"):
            if path.name not in keep:
                aside = path.with_name(f".{path.name}")
                path.rename(aside)
                shutil.rmtree(aside)
                gone.append(path.name)
    return gone


@contextmanager
def _locked() -> Iterator[None]:
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    CACHE_ROOT.chmod(0o755)
    handle = os.open(CACHE_ROOT / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
