"""Checks the token, and makes guessing slow without ever shutting out who has it."""

import asyncio
from collections.abc import Awaitable, Callable

from yamori.model.errors import NotPermitted, Untrusted
from yamori.web.errors import TooMany, Unauthenticated

LONGEST = 512
"""Characters of a token; a longer text is wrong without being looked at."""
WAITING = 16
"""Wrong attempts made to wait at once; more are turned away."""
MEND = "send the token of the state directory: Authorization: Bearer TOKEN"


Check = Callable[[str], None]
"""Knows the token: returns, in a time that tells nothing, when the text is it; else raises

NotPermitted or Untrusted."""


class TokenGate:
    """A right token passes at once, always: an attacker on the same address must not be able to lock it out.

    A wrong one waits, longer with each attempt, up to ``slowest_s``.
    """

    def __init__(
        self,
        check_token: Check,
        *,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        slowest_s: float = 2.0,
    ) -> None:
        """Guard with what knows the token. ``pause`` sleeps for seconds."""
        self._check_token = check_token
        self._pause = pause
        self._slowest_s = slowest_s
        self._waiting = 0
        self._wrong = 0

    @property
    def wrong(self) -> int:
        """How many wrong tokens were shown since the start."""
        return self._wrong

    async def check(self, untrusted_token: str) -> None:
        """Return when the token is right. Raises Unauthenticated (after a pause) or TooMany."""
        if 0 < len(untrusted_token) <= LONGEST:
            try:
                self._check_token(untrusted_token)
            except (NotPermitted, Untrusted):
                pass
            else:
                return
        self._wrong += 1
        if self._waiting >= WAITING:
            raise TooMany("too many wrong tokens", mend="wait a few seconds")
        self._waiting += 1
        try:
            await self._pause(min(self._slowest_s, 0.1 * 2**self._waiting))
        finally:
            self._waiting -= 1
        raise Unauthenticated("the token is wrong", mend=MEND)
