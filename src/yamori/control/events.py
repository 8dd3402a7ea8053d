"""The in-process event stream: everything that happens, numbered, with a bounded memory of the latest."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from yamori.control.facade import Event, EventKind

REMEMBERED = 2_000
QUEUE = 1_000


class Events:
    """Many listeners, none of which holds up the teller: one that is too slow loses its place and is told so."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._number = 0
        self._latest: deque[Event] = deque(maxlen=REMEMBERED)
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def tell(self, kind: EventKind, subject: str, body: dict[str, Any]) -> Event:
        """Number an event and hand it to all who listen."""
        self._number += 1
        event = Event(number=self._number, kind=kind, at=self._now(), subject=subject, body=body)
        if kind is not EventKind.TICK:
            self._latest.append(event)
        for queue in tuple(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
        return event

    async def listen(self, after: int | None) -> AsyncIterator[Event]:
        """Tell events from now on, first those after a number that are still remembered.

        Ends when this listener is too slow; it may come back with the last number that it saw.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)
        if after is not None:
            for event in [e for e in self._latest if e.number > after][-QUEUE + 1 :]:
                queue.put_nowait(event)
        self._listeners.add(queue)
        try:
            while (next_event := await queue.get()) is not None:
                yield next_event
        finally:
            self._listeners.discard(queue)
