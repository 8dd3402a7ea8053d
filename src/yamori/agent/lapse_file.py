"""The file that remembers which limits end by themselves: whole or not at all, on the disk before it counts."""

import contextlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yamori.model.errors import Failed, Tampered
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind

VERSION = 1
MOST = 16_384
"""Lapses that are remembered at once."""
_MOST_BYTES = 16 << 20
_MOST_VALUES = 64
Value = float | None
Key = tuple[VMId, LimitKind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """One limit that ends by itself.

    ``before`` is what goes back then. ``ours`` are the values that may hold by our doing: more than one while a
    change is under way. ``until`` is seconds of CLOCK_BOOTTIME.
    """

    vm: VMId
    kind: LimitKind
    before: Value
    ours: tuple[Value, ...]
    until: float

    @property
    def key(self) -> Key:
        """What there is at most one lapse for."""
        return self.vm, self.kind


class LapseFile:
    """Reads and replaces the file. Blocking; one caller at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[str, tuple[Lapse, ...]]:
        """Return the boot that the lapses belong to, and the lapses; nothing when there is no file.

        Raises Tampered when the file is not one of ours, Failed when it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return "", ()
        except OSError as error:
            raise Failed(f"cannot be read: {error.strerror}", subject=str(self.path)) from error
        try:
            return _parsed(content)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Tampered(f"is damaged: {error}"[:300], subject=str(self.path)) from error

    def save(self, boot: str, lapses: Iterable[Lapse]) -> None:
        """Replace the file; returns once it is on the disk. Raises Failed, and then the old one still holds."""
        content = json.dumps(
            {"version": VERSION, "boot": boot, "lapses": [_plain(lapse) for lapse in lapses]}, allow_nan=False
        )
        aside = self.path.with_name(f".{self.path.name}.new")
        try:
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _write_all(handle, content.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            aside.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Failed(f"cannot be written: {error.strerror}", subject=str(self.path)) from error

    def set_aside(self) -> Path:
        """Move a damaged file out of the way, for a human to look at; return where it is now."""
        kept = self.path.with_name(f"{self.path.name}.damaged")
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(kept)
        return kept


def _write_all(handle: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(handle, content[written:])


def _plain(lapse: Lapse) -> Mapping[str, Any]:
    return {
        "vm": lapse.vm,
        "kind": lapse.kind.value,
        "before": lapse.before,
        "ours": list(lapse.ours),
        "until": lapse.until,
    }


def _parsed(content: bytes) -> tuple[str, tuple[Lapse, ...]]:
    if len(content) > _MOST_BYTES:
        raise ValueError("too long")
    untrusted = json.loads(content)
    if untrusted["version"] != VERSION:
        raise ValueError("of another version")
    boot, rows = untrusted["boot"], untrusted["lapses"]
    if not isinstance(boot, str) or not isinstance(rows, list) or len(rows) > MOST:
        raise ValueError("boot or lapses")
    return boot, tuple(_lapse(row) for row in rows)


def _lapse(untrusted: Any) -> Lapse:
    vm, ours, until = untrusted["vm"], untrusted["ours"], untrusted["until"]
    if not isinstance(vm, str) or not isinstance(ours, list) or len(ours) > _MOST_VALUES:
        raise ValueError("vm or ours")
    if not isinstance(until, int | float) or not math.isfinite(until):
        raise ValueError("until")
    return Lapse(
        vm=VMId(vm),
        kind=LimitKind(untrusted["kind"]),
        before=_value(untrusted["before"]),
        ours=tuple(_value(value) for value in ours),
        until=float(until),
    )


def _value(untrusted: Any) -> Value:
    if untrusted is None:
        return None
    if isinstance(untrusted, bool) or not isinstance(untrusted, int | float) or not math.isfinite(untrusted):
        raise ValueError("value")
    return float(untrusted)
