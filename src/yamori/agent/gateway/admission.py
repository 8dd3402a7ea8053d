"""Who may come in. Without a certificate of ours one may enrol, once, and do nothing else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from yamori.agent.protocol.calls import Renew, Renewed, taken
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.faults import refusal
from yamori.agent.protocol.frames import LARGEST_UNKNOWN, Frames, Garbled, frame
from yamori.agent.protocol.messages import (
    HIGHEST,
    LOWEST,
    Enrol,
    Enrolment,
    Message,
    Presentation,
    agreed,
    read,
    write,
)
from yamori.model.errors import Conflict, NotPermitted, TimedOut, YamoriError
from yamori.model.secret import Secret
from yamori.trust.authority import BACKDATED, Authority, Issued
from yamori.trust.certificates import Certificate
from yamori.trust.enrolment import Roll, digest

EARLIEST = 1 / 3
"""Of its life must have passed before a certificate is renewed: each renewal is on disk and on the ledger."""
GREETING_S = 10.0
"""How long a stranger may take to say what they want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Lets agents in: issues their certificates and checks them against the roll."""

    authority: Authority
    roll: Roll
    lifetime: timedelta
    now: Callable[[], datetime]

    async def enrol(self, channel: Channel) -> str | None:
        """Serve somebody without a certificate; return the agent's name if one was enrolled.

        Whoever only wanted to know our authority hangs up after our first word: None. Raises NotPermitted,
        Invalid, Garbled, TimedOut, Conflict (version), after the other side was told.
        """
        _say(channel, Presentation(certificate=self.authority.pem, wall=self.now()))
        try:
            wish = await _one_message(channel)
            if wish is None:
                return None
            issued = await self._redeem(wish)
        except YamoriError as error:
            _say(channel, refusal(error))
            raise
        name = issued.certificate.agent
        _say(channel, Enrolment(name=name, certificate=issued.pem))
        return name

    async def _redeem(self, wish: Enrol) -> Issued:
        if agreed(wish.lowest, wish.highest) is None:
            raise Conflict(
                f"no common version of the protocol: the agent speaks {wish.lowest} to {wish.highest}, "
                f"the controller {LOWEST} to {HIGHEST}",
                mend="install the same version of Yamori on both",
            )

        def issue(name: str) -> Issued:
            return self.authority.issue_agent(name, wish.request, self.now(), self.lifetime)

        return await self.roll.redeem(wish.token, digest(Secret(wish.secret)), issue)

    async def admit(self, certificate: Certificate) -> None:
        """Check a certificate against the roll. Raises NotPermitted."""
        await self.roll.admit(certificate)

    async def renew(self, certificate: Certificate, untrusted_arguments: Any) -> tuple[Renewed, Certificate]:
        """Give an agent that has shown a certificate its next one. Raises Invalid, NotPermitted, Conflict."""
        wish = taken(Renew, untrusted_arguments)
        if self.now() < certificate.passed(EARLIEST, backdated=BACKDATED):
            raise Conflict("the certificate is too young to be renewed", subject=certificate.agent)
        issued = self.authority.issue_agent(certificate.agent, wish.request, self.now(), self.lifetime)
        await self.roll.renew(certificate.agent, certificate.serial, issued)
        return Renewed(certificate=issued.pem), issued.certificate


async def _one_message(channel: Channel) -> Enrol | None:
    frames = Frames(LARGEST_UNKNOWN)
    try:
        async with asyncio.timeout(GREETING_S):
            while data := await channel.receive():
                bodies = frames.feed(data)
                if bodies:
                    message = read(bodies[0])
                    if not isinstance(message, Enrol):
                        raise NotPermitted("without a certificate one may enrol, and nothing else")
                    return message
    except TimeoutError:
        raise TimedOut(f"nothing was said within {GREETING_S:.0f} s") from None
    if frames.unfinished:
        raise Garbled("the connection ended in the middle of a message")
    return None


def _say(channel: Channel, message: Message) -> None:
    channel.send(frame(write(message)))
