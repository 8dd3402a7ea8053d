"""One agent's post on the controller: whether it is connected, since when, and the way to ask it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from yamori.agent.gateway.hostclock import HostClock
from yamori.agent.protocol.line import Line
from yamori.agent.protocol.messages import Hello
from yamori.model.errors import Failed, Unreachable, YamoriError

ENROL = "see that yamori-agent runs on the host; if it was never enrolled: yamori agent token {name}"
LOOK = "look at the agent on its host: yamori agent status there, and its log"


class Post:
    """Kept for as long as the controller runs; connections come and go."""

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self.clock = HostClock()
        self.line: Line | None = None
        self.hello: Hello | None = None
        self.address: str | None = None
        self.skew_s: float | None = None
        self.since: datetime | None = None
        self.error: str | None = None
        self.generation = 0
        """Counts enrolments and revocations: who was admitted before one must not take the post after it."""
        self._now = now

    def take(self, line: Line, hello: Hello) -> Line | None:
        """Put a new connection in place; return the one that was there, which is to be ended."""
        before, self.line = self.line, line
        self.hello, self.address = hello, line.channel.address
        self.skew_s = (hello.wall - self._now()).total_seconds()
        self.since, self.error = self._now(), None
        return before

    def leave(self, line: Line, why: YamoriError) -> bool:
        """Note that a connection has ended; return whether it was the one in place."""
        if self.line is not line:
            return False
        self.line, self.since, self.error = None, self._now(), why.message
        return True

    def end(self, why: YamoriError) -> None:
        """End the connection, if there is one: from this moment nothing is asked or heard over it."""
        if (line := self.line) is not None:
            self.leave(line, why)
            line.hang_up(why)

    async def call(self, name: str, arguments: Any, *, timeout_s: float) -> Any:
        """Ask the agent. Raises Unreachable at once while it is not connected, and what it answers."""
        line = self.line
        if line is None:
            raise self._away()
        return await line.call(name, arguments, timeout_s=timeout_s)

    def garbled(self, why: YamoriError) -> Failed:
        """End the connection for an answer that cannot be; return the error for whoever asked."""
        error = Failed(f"the agent's answer cannot be believed: {why.message}", subject=self.name, mend=LOOK)
        self.end(error)
        return error

    def _away(self) -> Unreachable:
        if self.since is None:
            return Unreachable(
                "the agent has not connected since the start", subject=self.name, mend=ENROL.format(name=self.name)
            )
        why = f": {self.error}" if self.error else ""
        return Unreachable(
            f"the agent is not connected since {self.since:%Y-%m-%d %H:%M:%S} UTC{why}",
            subject=self.name,
            mend=LOOK,
        )
