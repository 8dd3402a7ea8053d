"""Reading files that the operator names."""

from __future__ import annotations

from pathlib import Path

from yamori.model.errors import Failed, Invalid

LARGEST = 1_048_577
"""One byte more than a document may have: what is larger is refused by its reader, without being read whole."""


def named(path: Path) -> str:
    """Return how messages name a file."""
    return "standard input" if str(path) == "-" else str(path)


def write(path: Path, text: str) -> None:
    """Write a file. Raises Failed."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failed(f"cannot be written: {error.strerror}", subject=str(path)) from error


def read(path: Path, largest: int = LARGEST) -> bytes:
    """Read a file, or standard input for ``-``, up to so many bytes. Raises Invalid."""
    import sys

    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(largest)
        with path.open("rb") as file:
            return file.read(largest)
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", subject=str(path), mend="check the path") from error
