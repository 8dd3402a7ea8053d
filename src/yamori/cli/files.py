"""Reading files that the operator names."""

from __future__ import annotations

from pathlib import Path

from yamori.model.errors import Invalid

LARGEST = 1_048_577
"""One byte more than a document may have: what is larger is refused by its reader, without being read whole."""


def read(path: Path) -> bytes:
    """Read a file, or standard input for ``-``. Raises Invalid."""
    import sys

    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(LARGEST)
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", subject=str(path), mend="check the path") from error
