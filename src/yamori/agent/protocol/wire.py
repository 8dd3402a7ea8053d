"""One connection as a state machine: bytes in, events out, bytes to send. It has no socket and no clock.

Whoever drives it calls ``receive`` with what came, ``tick`` about once a second, and sends what ``out`` returns.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from yamori.agent.protocol.events import (
    Answered,
    Called,
    Cancelled,
    Closed,
    Event,
    Faulted,
    Offered,
    Opened,
)
from yamori.agent.protocol.faults import rebuilt, refusal, words
from yamori.agent.protocol.frames import LARGEST, LARGEST_UNKNOWN, PROGRESS, Frames, Garbled, frame
from yamori.agent.protocol.messages import (
    HIGHEST,
    LOWEST,
    Answer,
    AnyMessage,
    Call,
    Cancel,
    Fault,
    Hello,
    Message,
    Ping,
    Pong,
    Refusal,
    Welcome,
    agreed,
    read,
    write,
)
from yamori.model.errors import Busy, Conflict, Defect, Failed, TimedOut, Unreachable, YamoriError

PING_AFTER_S = 3.0
"""So long nothing came: ask whether the other side is there."""
DEAD_AFTER_S = 9.0
"""So long nothing came: the other side is gone. Also how long a greeting may take."""
MOST_CALLS = 32
"""Calls in flight, each way."""
REMEMBERED = 1024
"""Calls that nobody waits for any more, whose answers may still come."""


class Role(StrEnum):
    """Which end this is."""

    AGENT = "agent"
    CONTROLLER = "controller"


class _State(StrEnum):
    GREETING = "greeting"
    OFFERED = "offered"
    OPEN = "open"
    CLOSED = "closed"


class Wire:
    """One connection. ``now`` is everywhere a monotonic clock in seconds, of whoever drives it."""

    def __init__(self, role: Role, *, now: float, hello: Hello | None = None) -> None:
        if (role is Role.AGENT) != (hello is not None):
            raise Defect("the agent says hello, and nobody else")
        self.role = role
        self.version: int | None = None
        self._state = _State.GREETING
        self._frames = Frames(LARGEST_UNKNOWN)
        self._out: list[bytes] = []
        self._begun = self._heard = now
        self._pinged = False
        self._progress = 0
        self._last_id = self._their_last_id = 0
        self._waiting: dict[int, float] = {}
        self._serving: set[int] = set()
        self._given_up: deque[int] = deque(maxlen=REMEMBERED)
        if hello is not None:
            self._send(hello)

    @property
    def is_open(self) -> bool:
        """Whether calls may be made."""
        return self._state is _State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the last event was told."""
        return self._state is _State.CLOSED

    @property
    def in_flight(self) -> int:
        """Calls of ours that wait for their answer."""
        return len(self._waiting)

    def out(self) -> bytes:
        """Return what is to be sent now."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, untrusted_bytes: bytes, now: float) -> list[Event]:
        """Take what came. Never raises: what is not our protocol ends the connection by a ``Closed``."""
        events: list[Event] = []
        if self.is_closed:
            return events
        try:
            for body in self._frames.feed(untrusted_bytes):
                self._heard, self._pinged, self._progress = now, False, 0
                events += self._take(read(body))
                if events and isinstance(events[-1], Closed):
                    return events
        except Garbled as error:
            return [*events, *self.close(error)]
        if self._state is _State.OPEN and self._frames.unfinished - self._progress >= PROGRESS:
            self._heard, self._progress = now, self._frames.unfinished
        return events

    def tick(self, now: float) -> list[Event]:
        """Let time pass: calls time out, silence is asked about, and ends the connection."""
        if self.is_closed:
            return []
        if self._state is not _State.OPEN:
            late = now - self._begun >= DEAD_AFTER_S
            return self.close(TimedOut(f"no greeting within {DEAD_AFTER_S:.0f} s")) if late else []
        silent = now - self._heard
        if silent >= DEAD_AFTER_S:
            return self.close(Unreachable(f"no word for {silent:.0f} s"))
        if silent >= PING_AFTER_S and not self._pinged:
            self._pinged = True
            self._send(Ping())
        late_calls = [number for number, deadline in self._waiting.items() if now >= deadline]
        for number in late_calls:
            self.cancel(number)
        return [Faulted(id=number, error=TimedOut()) for number in late_calls]

    def welcome(self, hello: Hello, *, software: str, wall: datetime) -> None:
        """As the controller: open the connection to an agent that was offered."""
        version = agreed(hello.lowest, hello.highest)
        if self.is_closed:
            raise Unreachable("the agent left before it was welcomed")
        if self._state is not _State.OFFERED or version is None:
            raise Defect("nobody was offered")
        self.version = version
        self._open()
        self._send(Welcome(version=version, software=software, wall=wall))

    def call(self, name: str, arguments: Any, *, timeout_s: float, now: float) -> int:
        """Ask for something; the event with the same id is the answer. Raises Unreachable, Busy."""
        if self._state is not _State.OPEN:
            raise Unreachable("the connection is not open")
        if len(self._waiting) >= MOST_CALLS:
            raise Busy(f"{MOST_CALLS} calls are under way already")
        self._last_id += 1
        self._send(Call(id=self._last_id, name=name, timeout_s=timeout_s, arguments=arguments))
        self._waiting[self._last_id] = now + timeout_s
        return self._last_id

    def cancel(self, number: int) -> None:
        """Wait for a call of ours no longer; its answer, if it still comes, is dropped."""
        if self._waiting.pop(number, None) is not None:
            self._given_up.append(number)
            self._send(Cancel(id=number))

    def answer(self, number: int, value: Any) -> None:
        """Answer a call of theirs. One that was cancelled meanwhile gets no answer."""
        if number not in self._serving or self._state is not _State.OPEN:
            return
        body = write(Answer(id=number, value=value))
        if len(body) > LARGEST:
            self.fault(number, Failed(f"the answer has {len(body)} bytes, more than {LARGEST}"))
            return
        self._serving.discard(number)
        self._out.append(frame(body))

    def fault(self, number: int, error: YamoriError) -> None:
        """Say why a call of theirs came to nothing."""
        if number in self._serving and self._state is _State.OPEN:
            self._serving.discard(number)
            self._send(Fault(id=number, error=words(error)))

    def close(self, error: YamoriError) -> list[Event]:
        """Hang up, saying why. Returns the last event, once."""
        if self.is_closed:
            return []
        self._send(refusal(error))
        return self._end(error)

    def lost(self, error: YamoriError) -> list[Event]:
        """Note that the connection under us is gone: there is nobody to tell."""
        return [] if self.is_closed else self._end(error)

    def _end(self, error: YamoriError, *, told: bool = False) -> list[Event]:
        self._state = _State.CLOSED
        ended: list[Event] = [Faulted(id=number, error=_cut_off(error)) for number in self._waiting]
        self._waiting.clear()
        self._serving.clear()
        return [*ended, Closed(error=error, told=told)]

    def _open(self) -> None:
        self._state = _State.OPEN
        self._frames.largest = LARGEST

    def _send(self, message: Message) -> None:
        self._out.append(frame(write(message)))

    def _take(self, message: AnyMessage) -> Sequence[Event]:
        if isinstance(message, Refusal):
            return self._end(rebuilt(message), told=True)
        if self._state is _State.GREETING:
            return self._greeted(message)
        if self._state is not _State.OPEN:
            raise Garbled("a message before the welcome")
        match message:
            case Ping():
                self._send(Pong())
                return ()
            case Pong():
                return ()
            case Call():
                return self._called(message)
            case Cancel():
                self._serving.discard(message.id)
                return (Cancelled(id=message.id),)
            case Answer():
                return (Answered(id=message.id, untrusted_value=message.value),) if self._ours(message.id) else ()
            case Fault():
                return (Faulted(id=message.id, error=rebuilt(message.error)),) if self._ours(message.id) else ()
            case _:
                raise Garbled(f"a message of the kind {message.kind} has no place here")

    def _greeted(self, message: AnyMessage) -> Sequence[Event]:
        if self.role is Role.CONTROLLER and isinstance(message, Hello):
            if agreed(message.lowest, message.highest) is None:
                return self.close(_no_version(message.lowest, message.highest, message.software))
            self._state = _State.OFFERED
            return (Offered(hello=message),)
        if self.role is Role.AGENT and isinstance(message, Welcome):
            if not LOWEST <= message.version <= HIGHEST:
                return self.close(Conflict(f"the controller chose version {message.version} of the protocol"))
            self.version = message.version
            self._open()
            return (Opened(version=message.version, software=message.software, wall=message.wall),)
        raise Garbled(f"a message of the kind {message.kind} is no greeting")

    def _called(self, call: Call) -> Sequence[Event]:
        if call.id <= self._their_last_id:
            raise Garbled("the number of a call was used before")
        self._their_last_id = call.id
        if len(self._serving) >= MOST_CALLS:
            raise Garbled(f"more than {MOST_CALLS} calls at once")
        self._serving.add(call.id)
        return (Called(id=call.id, name=call.name, untrusted_arguments=call.arguments, timeout_s=call.timeout_s),)

    def _ours(self, number: int) -> bool:
        """Tell whether somebody waits for a call. Raises Garbled for one that nobody has made."""
        if self._waiting.pop(number, None) is not None:
            return True
        if number in self._given_up:
            self._given_up.remove(number)
            return False
        raise Garbled("an answer to nothing that was asked")


def _no_version(lowest: int, highest: int, software: str) -> Conflict:
    return Conflict(
        f"no common version of the protocol: the agent (Yamori {software}) speaks {lowest} to {highest}, "
        f"the controller {LOWEST} to {HIGHEST}",
        mend="update Yamori on the host" if highest < LOWEST else "update Yamori on the controller",
    )


def _cut_off(error: YamoriError) -> YamoriError:
    return Unreachable(f"the connection ended before the answer: {error.message}")
