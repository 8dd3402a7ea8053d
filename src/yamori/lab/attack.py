"""The three attacks that a guest can play, as asked of its control port."""

from __future__ import annotations

from enum import StrEnum

from yamori.model.errors import Invalid

DEFAULT_SECONDS = 300
_MOST_SECONDS = 3600
_MOST_THREADS = 64


class AttackKind(StrEnum):
    """CPU burn, memory grab, disk flood."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"


_THREADS = {AttackKind.CPU: 4, AttackKind.MEMORY: 1, AttackKind.DISK: 16}


def attack_line(kind: AttackKind, *, threads: int | None, seconds: int) -> str:
    """The control line; raises Invalid when out of bounds. The guest itself ends the attack after ``seconds``."""
    wanted = _THREADS[kind] if threads is None else threads
    if not 1 <= seconds <= _MOST_SECONDS or not 1 <= wanted <= _MOST_THREADS:
        raise Invalid(f"attack with {wanted} threads for {seconds} s", mend="at most 64 threads and 3600 s")
    return f"attack {kind} {wanted} {seconds}"
