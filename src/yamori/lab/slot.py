"""A slot is a small number that only one lab on this machine holds; its networks and names follow from it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yamori.lab.layout import CGROUP_ROOT, STATE_ROOT
from yamori.model.errors import Conflict, Failed, NotPermitted

SLOTS = range(1, 251)
_LOCKS = ".locks"
_SLOTS = ".slots"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the named lock of the lab state; the kernel releases it when the process dies.

    Raises Conflict at once when another process holds it, NotPermitted without root.
    """
    if os.geteuid() != 0:
        raise NotPermitted("the lab needs root", mend="it makes namespaces, control groups and libvirt hosts")
    path = STATE_ROOT / _LOCKS / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _lock(path)
    if handle is None:
        raise Conflict(f"lab {name!r} is being made or cleared by another process")
    try:
        yield
    finally:
        if not (STATE_ROOT / name).exists():
            path.unlink()
        os.close(handle)


def busy(name: str) -> bool:
    """Whether a process makes or clears the lab at this moment."""
    path = STATE_ROOT / _LOCKS / f"{name}.lock"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock(path: Path) -> int | None:
    """Open and lock the file, None when another holds it; again when its holder removed it meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        os.close(handle)


@contextmanager
def _slots() -> Iterator[Path]:
    """The folder of reservations, held exclusively."""
    folder = STATE_ROOT / _SLOTS
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def take(name: str) -> int:
    """Reserve a free slot for the lab; the reservation is a file that holds the lab's name."""
    with _slots() as folder:
        for path in folder.glob("[0-9]*"):
            if path.read_text() == name:
                return int(path.name)
        for slot in SLOTS:
            if (folder / str(slot)).exists() or _in_use(slot):
                continue
            pending = folder / f".{slot}"
            pending.write_text(name)
            pending.replace(folder / str(slot))
            return slot
    raise Failed(f"all {len(SLOTS)} lab slots are taken", mend="clear old ones: yamori lab down")


def release(slot: int, name: str) -> bool:
    """Give a slot back; False when the lab does not hold it."""
    path = STATE_ROOT / _SLOTS / str(slot)
    try:
        if path.read_text() != name:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def holders() -> dict[str, int]:
    """Lab name to slot of every reservation."""
    folder = STATE_ROOT / _SLOTS
    return {path.read_text(): int(path.name) for path in folder.glob("[0-9]*")} if folder.is_dir() else {}


def _in_use(slot: int) -> bool:
    """Whether something outside our records looks as if it used the slot; then leave it alone."""
    return Path(f"/sys/class/net/yl{slot}root").exists() or (CGROUP_ROOT / "pids" / f"yamori-lab-{slot}").exists()
