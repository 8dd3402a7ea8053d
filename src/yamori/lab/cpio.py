"""A cpio archive in the "newc" format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import gzip


class Archive:
    """The files of an initramfs, in the order in which they are added."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def folder(self, name: str) -> None:
        """Add a directory."""
        self._entry(name, 0o040755, b"")

    def file(self, name: str, content: bytes, *, executable: bool = False) -> None:
        """Add a regular file."""
        self._entry(name, 0o100755 if executable else 0o100644, content)

    def compressed(self) -> bytes:
        """The whole archive with its trailer; the same files give the same bytes."""
        self._entry("TRAILER!!!", 0, b"")
        return gzip.compress(b"".join(self._parts), compresslevel=1, mtime=0)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        links = 2 if mode & 0o040000 and not mode & 0o100000 else 1
        numbers = (self._inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path), _padded(content)]


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % 4)
