"""Things that are slow to make are made once and kept, keyed by all that went into them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from yamori.lab.layout import CACHE_ROOT


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
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    CACHE_ROOT.chmod(0o755)
    aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE_ROOT))
    try:
        make(aside)
        aside.chmod(0o755)
        try:
            aside.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        if aside.exists():
            shutil.rmtree(aside)
    os.sync()
    return final
