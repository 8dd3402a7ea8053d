"""Whom the door turned away: logged and on the ledger, but bounded, whatever somebody outside does."""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from yamori.agent.gateway.translate import line
from yamori.model.errors import YamoriError
from yamori.model.plain import Json
from yamori.trust.enrolment import Roll
from yamori.trust.ledger import RecordKind

log = logging.getLogger(__name__)

AGAIN_S = 600.0
"""The same refusal within so many seconds is only counted."""
MOST_RECORDS = 100
"""Records in any such span, whatever is refused; the rest is counted."""
MOST_KEYS = 1000


class Refusals:
    """Notes refusals. ``clock_s`` is monotonic."""

    def __init__(self, roll: Roll, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._roll = roll
        self._clock_s = clock_s
        self._seen: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._written: deque[float] = deque()
        self._more = 0
        self.total = 0
        """Refusals since the start, each counted once it is noted."""

    async def note(self, error: YamoriError, *, address: str, agent: str | None = None) -> None:
        """Note one. ``agent`` only where it is one on the roll: never a name that a stranger claims."""
        try:
            await self._note(error, address, agent)
        finally:
            self.total += 1

    async def _note(self, error: YamoriError, address: str, agent: str | None) -> None:
        if not self._is_news((agent or "", address, error.code, error.message[:80])):
            self._more += 1
            log.debug("refused again: %s at %s: %s", agent or "a stranger", address, line(str(error), 300))
            return
        log.warning("refused %s at %s: %s", agent or "a stranger", address, line(str(error), 300))
        body: Json = {
            "agent": agent,
            "address": address,
            "code": error.code,
            "reason": line(error.message, 300),
            "more": self._more,
        }
        self._more = 0
        try:
            await self._roll.note(RecordKind.AGENT_REFUSED, body)
        except YamoriError as failure:
            log.error("a refusal could not be put on the ledger: %s", failure)  # noqa: TRY400  no defect of ours

    def _is_news(self, key: tuple[str, ...]) -> bool:
        now = self._clock_s()
        while self._written and now - self._written[0] >= AGAIN_S:
            self._written.popleft()
        told = self._seen.get(key)
        if told is not None and now - told < AGAIN_S:
            return False
        if len(self._written) >= MOST_RECORDS:
            return False
        self._seen[key] = now
        self._seen.move_to_end(key)
        while len(self._seen) > MOST_KEYS:
            self._seen.popitem(last=False)
        self._written.append(now)
        return True
