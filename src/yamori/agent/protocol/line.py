"""Drives one wire over one channel: reads, sends, lets time pass, runs what is called, resolves what is asked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.events import Answered, Called, Cancelled, Closed, Event, Faulted, Offered, Opened
from yamori.agent.protocol.wire import Wire
from yamori.model.errors import Defect, NotFound, TimedOut, Unreachable, YamoriError

log = logging.getLogger(__name__)

TICK_S = 1.0
MOST_IN_LOG = 200

Handler = Callable[[Any], Awaitable[Any]]
"""Does a call: takes its untrusted arguments, returns plain JSON, raises an error of the model."""


class Line:
    """One connection at work. ``greeted`` is called with the greeting of the other side, once."""

    def __init__(
        self,
        channel: Channel,
        wire: Wire,
        *,
        handlers: Mapping[str, Handler],
        greeted: Callable[["Line", Offered | Opened], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.channel = channel
        self.wire = wire
        self._handlers = handlers
        self._greeted = greeted
        self._clock = clock
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._doing: dict[int, asyncio.Task[None]] = {}
        self._end: YamoriError | None = None
        self._over = asyncio.Event()
        self.told = False
        """Whether it was the other side that ended it, by saying why."""
        self._silent = False
        """Nothing came for so long that nobody waits for a last word."""

    async def run(self) -> YamoriError:
        """Work until the connection ends, and return why it did."""
        over = asyncio.create_task(self._over.wait())
        working = [asyncio.create_task(self._read_forever()), asyncio.create_task(self._tick_forever())]
        try:
            self._flush()
            await asyncio.wait([over, *working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._heed(self.wire.close(Unreachable(f"the {self.wire.role} stops")))
            jobs = [over, *working, *self._doing.values()]
            for job in jobs:
                job.cancel()
            ends = await asyncio.gather(*jobs, return_exceptions=True)
            self._flush()
            await self.channel.close(linger=not self._silent)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return self._end or Unreachable("the connection ended")

    async def call(self, name: str, arguments: Any, *, timeout_s: float) -> Any:
        """Ask the other side. Raises what it answers, Unreachable, TimedOut, Busy."""
        number = self.wire.call(name, arguments, timeout_s=timeout_s, now=self._clock())
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._flush()
            return await answer
        finally:
            del self._asked[number]
            self.wire.cancel(number)
            self._flush()

    def hang_up(self, error: YamoriError) -> None:
        """End the connection, saying why. ``run`` returns soon."""
        self._heed(self.wire.close(error))
        self._flush()

    async def _read_forever(self) -> None:
        try:
            while data := await self.channel.receive():
                await self._take(self.wire.receive(data, self._clock()))
                self._flush()
            self._heed(self.wire.lost(Unreachable("the other side ended the connection")))
        except YamoriError as error:
            self._heed(self.wire.lost(error))

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._heed(self.wire.tick(self._clock()))
            self._silent = self.wire.is_closed
            self._flush()

    async def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Offered | Opened):
                try:
                    await self._greeted(self, event)
                except YamoriError as error:
                    self._heed(self.wire.close(error))
            else:
                self._heed([event])

    def _heed(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Called():
                    self._doing[event.id] = asyncio.create_task(self._do(event))
                case Cancelled():
                    if (task := self._doing.get(event.id)) is not None:
                        task.cancel()
                case Answered():
                    self._resolve(event.id, event.untrusted_value)
                case Faulted():
                    self._resolve(event.id, event.error)
                case Closed():
                    self._end, self.told = event.error, event.told
                    self._over.set()

    def _resolve(self, number: int, outcome: Any) -> None:
        answer = self._asked.get(number)
        if answer is None or answer.done():
            return
        if isinstance(outcome, YamoriError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    async def _do(self, call: Called) -> None:
        try:
            self.wire.answer(call.id, await self._done(call))
        except YamoriError as error:
            self.wire.fault(call.id, error)
        except Exception:
            # The edge to what a call does: its defect is answered and logged, the connection goes on.
            log.exception("call %s failed", call.name[:MOST_IN_LOG])
            self.wire.fault(call.id, Defect())
        finally:
            self._doing.pop(call.id, None)
        self._flush()

    async def _done(self, call: Called) -> Any:
        handler = self._handlers.get(call.name)
        if handler is None:
            raise NotFound("there is no such call here", subject=call.name)
        try:
            async with asyncio.timeout(call.timeout_s):
                return await handler(call.untrusted_arguments)
        except TimeoutError:
            raise TimedOut(f"{call.name} took longer than {call.timeout_s:g} s") from None

    def _flush(self) -> None:
        try:
            if data := self.wire.out():
                self.channel.send(data)
        except YamoriError as error:
            self._heed(self.wire.lost(error))
