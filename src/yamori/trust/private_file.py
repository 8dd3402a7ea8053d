"""Small secrets in files that only their owner can read."""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from yamori.model.errors import Failed, NotFound, Untrusted

LARGEST = 4096
"""Bytes. Such a file holds one short secret."""


def read_private(path: Path) -> str:
    """Read a secret. Raises NotFound; Untrusted when others than its owner could read or have replaced it."""
    try:
        # The checks are made on the open file: between looking at a name and opening it, it could be another.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound("there is no such file", subject=str(path)) from None
    except OSError as error:
        raise Untrusted(f"cannot be opened as a private file: {error.strerror}", subject=str(path)) from error
    try:
        _check_private(os.fstat(handle), path)
        content = os.read(handle, LARGEST + 1)
    finally:
        os.close(handle)
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > LARGEST:
        raise Untrusted("does not hold one short secret", subject=str(path), mend="remove it: a new one is made")
    return text


def _check_private(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Untrusted("is not an ordinary file", subject=str(path))
    if found.st_uid != os.geteuid():
        raise Untrusted(
            f"belongs to user {found.st_uid}, not to {os.geteuid()}",
            subject=str(path),
            mend="run as its owner, or remove it so that a new one is made",
        )
    if found.st_mode & 0o077:
        raise Untrusted(
            f"can be read by others (mode {stat.S_IMODE(found.st_mode):04o})",
            subject=str(path),
            mend=f"chmod 600 {path}, and make a new one if others may have read it",
        )


def keep_private(path: Path, make: Callable[[], str]) -> str:
    """Read the secret in a file, after making it with mode 0600 when there is none.

    Raises Untrusted as ``read_private``, Failed when it cannot be written.
    """
    try:
        return read_private(path)
    except NotFound:
        pass
    # Written aside and linked into place, so that a crash leaves no empty file and two makers agree on one.
    aside = _aside(path)
    try:
        _write(aside, make())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    except OSError as error:
        raise Failed(f"cannot be written: {error.strerror}", subject=str(path)) from error
    finally:
        aside.unlink(missing_ok=True)
    return read_private(path)


def replace_private(path: Path, text: str) -> None:
    """Write a secret with mode 0600 in place of what was there: whole, or not at all. Raises Failed."""
    aside = _aside(path)
    try:
        _write(aside, text)
        aside.replace(path)
    except OSError as error:
        raise Failed(f"cannot be written: {error.strerror}", subject=str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:  # noqa: PTH123
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
