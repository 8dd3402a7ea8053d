"""Enrolment from the host's side: ask whom we talk to, check that against the token, only then show the token."""

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.faults import rebuilt
from yamori.agent.protocol.frames import LARGEST_UNKNOWN, Frames, Garbled, frame
from yamori.agent.protocol.messages import (
    HIGHEST,
    LOWEST,
    AnyMessage,
    Enrol,
    Enrolment,
    Presentation,
    Refusal,
    read,
    write,
)
from yamori.agent.protocol.tls import Secured, agent_context, asking_context
from yamori.agent.service.identity import Identity, apply
from yamori.control.agents import address_of
from yamori.model.errors import BadCertificate, Invalid, TimedOut, Unreachable
from yamori.trust.authority import check_authority
from yamori.trust.enrolment import Token

M = TypeVar("M", Presentation, Enrolment)

CONNECT_S = 10.0
ANSWER_S = 30.0
MOST_SKEW_S = 240.0
"""Beyond this a certificate that is backdated by five minutes may not be valid here yet."""


async def enrol(controller: str, token: Token, *, now: Callable[[], datetime] | None = None) -> Identity:
    """Use up a token; return the identity that it bought, which is not on disk yet.

    Raises Invalid (address), Unreachable, TimedOut, BadCertificate (whoever answers is not the controller of the
    token, or a clock is wrong), NotPermitted (the token is void), Conflict (version).
    """
    clock = now or (lambda: datetime.now(UTC))
    try:
        address_of(controller)
    except ValueError as error:
        raise Invalid(f"the controller's address {error}", subject=controller[:80]) from None
    authority_pem = await _ask(controller, token, clock)
    applicant = apply()
    wish = Enrol(
        lowest=LOWEST,
        highest=HIGHEST,
        token=token.id,
        secret=token.secret.reveal(),
        request=applicant.request,
        wall=clock(),
    )
    channel = await dial(controller, agent_context(authority_pem))
    try:
        await channel.handshake()
        await _expect(channel, Presentation)
        channel.send(frame(write(wish)))
        told = await _expect(channel, Enrolment)
    finally:
        await channel.close()
    return applicant.accept(
        controller=controller, authority_pem=authority_pem, untrusted_certificate=told.certificate, name=token.name
    )


async def dial(controller: str, context: ssl.SSLContext) -> Channel:
    """Connect. Raises Unreachable, TimedOut. The handshake is the caller's."""
    host, port = address_of(controller)
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise TimedOut(f"no connection within {CONNECT_S:.0f} s", subject=controller) from None
    except OSError as error:
        raise Unreachable(
            f"the controller cannot be reached: {os.strerror(error.errno) if error.errno else error}",
            subject=controller,
            mend="check the address, the network between, and that yamori up runs with `agents:` in its file",
        ) from None
    return Channel(reader, writer, Secured(context, server_side=False))


async def _ask(controller: str, token: Token, now: Callable[[], datetime]) -> str:
    """Return the authority of whoever answers, if it is that of the token. Nothing is told to them."""
    channel = await dial(controller, asking_context())
    try:
        await channel.handshake()
        told = await _expect(channel, Presentation)
    finally:
        await channel.close()
    authority_pem = check_authority(told.certificate, token.authority)
    skew_s = (now() - told.wall).total_seconds()
    if abs(skew_s) > MOST_SKEW_S:
        raise BadCertificate(
            f"this host's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the controller's",
            subject=controller,
            mend="set the clocks: certificates are good for a time only",
        )
    return authority_pem


async def _expect(channel: Channel, kind: type[M]) -> M:
    frames = Frames(LARGEST_UNKNOWN)
    message: AnyMessage | None = None
    try:
        async with asyncio.timeout(ANSWER_S):
            while message is None:
                data = await channel.receive()
                if not data:
                    raise Unreachable("the controller ended the connection without a word")
                for body in frames.feed(data):
                    message = read(body)
    except TimeoutError:
        raise TimedOut(f"the controller said nothing within {ANSWER_S:.0f} s") from None
    if isinstance(message, Refusal):
        raise rebuilt(message)
    if not isinstance(message, kind):
        raise Garbled("whoever answers is no controller of agents")
    return message
