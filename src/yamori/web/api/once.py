"""Doing a thing once although it is asked for twice: the Idempotency-Key of a POST.

Remembered in memory for a day; a restart forgets, but the runs themselves are journaled.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from yamori.model.errors import Conflict, Invalid

REMEMBERED = 10_000
DAY_S = 86_400.0
LONGEST = 200
"""Characters of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    fingerprint: bytes
    at_s: float
    result: asyncio.Future[Any]


class Once:
    """Remembers what was answered to which key. ``clock_s`` is a monotonic clock in seconds."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Begin with nothing remembered."""
        self._clock_s = clock_s
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    async def do(self, untrusted_key: str | None, request: bytes, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do ``work``, or return (or raise) what it came to when the same was asked before with this key.

        Raises Invalid for a malformed key, Conflict when the key was used for a different request.
        """
        if untrusted_key is None:
            return await work()
        key = _key(untrusted_key)
        self._forget()
        fingerprint = hashlib.sha256(request).digest()
        asked = self._asked.get(key)
        if asked is not None:
            if asked.fingerprint != fingerprint:
                raise Conflict("this Idempotency-Key was used for a different request", mend="use a new key")
            return await asyncio.shield(asked.result)
        task = asyncio.ensure_future(_run(work))
        self._asked[key] = _Asked(fingerprint=fingerprint, at_s=self._clock_s(), result=task)
        return await asyncio.shield(task)

    def _forget(self) -> None:
        oldest = self._clock_s() - DAY_S
        while self._asked:
            key, asked = next(iter(self._asked.items()))
            if asked.at_s > oldest and len(self._asked) < REMEMBERED:
                return
            del self._asked[key]


async def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


def _key(untrusted_key: str) -> str:
    if not 1 <= len(untrusted_key) <= LONGEST or not untrusted_key.isascii() or not untrusted_key.isprintable():
        raise Invalid(f"an Idempotency-Key is 1 to {LONGEST} printable ASCII characters")
    return untrusted_key
