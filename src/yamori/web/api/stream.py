"""The event stream: Server-Sent Events with ids, heartbeats, and resumption where the client left off."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header
from starlette.responses import StreamingResponse

from yamori.control.facade import Event, Facade
from yamori.web import sse
from yamori.web.answer import shown
from yamori.web.errors import TooMany

MOST = 64
"""Streams open at once."""
NUMBER = 2**53


class Streams:
    """All open streams. ``epoch`` tells this run of the service from an earlier one, whose numbers are void.

    What happens while a client is slow waits in the facade's bounded queue; a client that falls out of it sees
    its stream end, and resumes.
    """

    def __init__(self, facade: Facade, *, epoch: str, heartbeat_s: float = 15.0) -> None:
        """Begin with no stream open."""
        self._facade = facade
        self._epoch = epoch
        self._heartbeat_s = heartbeat_s
        self._open = 0
        self._closing = asyncio.Event()

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._open

    def close(self) -> None:
        """End all streams, so that the service can stop."""
        self._closing.set()

    async def events(
        self, last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=100)] = None
    ) -> StreamingResponse:
        """Tell events from now on, or from after ``Last-Event-ID`` as far as that is still remembered.

        The first message is ``hello``: what a client has loaded before it may be out of date. A ``resumed`` of
        false says that events may have been missed.
        """
        if self._open >= MOST:
            raise TooMany(f"{MOST} event streams are open already", mend="close a console")
        after = self._after(last_event_id)
        return StreamingResponse(
            self._told(after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    def _after(self, untrusted_id: str | None) -> int | None:
        """Read ``NUMBER-EPOCH``; a bare number is taken too. An id of an earlier epoch says nothing: None."""
        number, _, epoch = (untrusted_id or "").partition("-")
        if not (number.isascii() and number.isdigit() and len(number) <= 16 and epoch in ("", self._epoch)):
            return None
        return min(int(number), NUMBER)

    async def _told(self, after: int | None) -> AsyncIterator[str]:
        self._open += 1
        source = self._facade.events(after=after)
        # Listening begins before the hello, so that nothing falls between what a client loads and what it is told.
        coming = asyncio.ensure_future(anext(source, None))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.sleep(0)
            hello = {"epoch": self._epoch, "resumed": after is not None}
            yield sse.written(sse.Message(id=None, event="hello", data=json.dumps(hello)))
            while not self._closing.is_set():
                done, _ = await asyncio.wait(
                    {coming, closing}, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED
                )
                if coming in done:
                    event = coming.result()
                    if event is None:
                        return
                    coming = asyncio.ensure_future(anext(source, None))
                    yield self._written(event)
                elif not done:
                    yield sse.HEARTBEAT
        finally:
            self._open -= 1
            closing.cancel()
            coming.cancel()
            await asyncio.gather(coming, closing, return_exceptions=True)
            await source.aclose()  # type: ignore[attr-defined]  # the facade's iterators are generators

    def _written(self, event: Event) -> str:
        data = json.dumps(shown(event), allow_nan=False)
        return sse.written(sse.Message(id=f"{event.number}-{self._epoch}", event=event.kind, data=data))
