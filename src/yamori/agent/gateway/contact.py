"""Which agents came and went, on the ledger: what lasts, not each attempt of a network that flaps."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from yamori.agent.gateway.post import Post
from yamori.agent.gateway.translate import line
from yamori.model.errors import YamoriError
from yamori.model.plain import Json
from yamori.trust.enrolment import Roll
from yamori.trust.ledger import RecordKind

log = logging.getLogger(__name__)

GRACE_S = 15.0
"""An agent that is back within so many seconds was not lost."""
LOOK_S = 1.0


class Contacts:
    """Watches the posts and writes down what changed for good."""

    def __init__(self, roll: Roll, now: Callable[[], datetime], *, grace_s: float = GRACE_S) -> None:
        self._roll = roll
        self._now = now
        self._grace_s = grace_s
        self._written: dict[str, bool] = {}

    async def watch(self, posts: Mapping[str, Post]) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for post in tuple(posts.values()):
                await self._look(post)

    async def _look(self, post: Post) -> None:
        connected = post.line is not None
        if connected == self._written.get(post.name, False) or post.since is None:
            return
        if not connected and (self._now() - post.since).total_seconds() < self._grace_s:
            return
        body: Json = {
            "agent": post.name,
            "contact": "up" if connected else "down",
            "address": post.address,
            "reason": line(post.error or "connected", 300),
        }
        try:
            await self._roll.note(RecordKind.AGENT_CONTACT, body)
        except YamoriError as error:
            log.error("could not be put on the ledger: %s", error)  # noqa: TRY400  no defect of ours
        self._written[post.name] = connected
