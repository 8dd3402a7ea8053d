"""An agent by hand: what it says, and what it hears."""

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import Any

from tests.agent.fleet import now, shown
from yamori.agent.protocol.channel import Channel
from yamori.agent.protocol.faults import rebuilt
from yamori.agent.protocol.frames import frame
from yamori.agent.protocol.messages import Hello, Refusal, write
from yamori.agent.service.identity import Identity, apply
from yamori.model.errors import Unreachable, YamoriError
from yamori.trust.authority import Authority


async def heard(channel: Channel) -> list[dict[str, Any]]:
    """Return all that comes until the end, however that comes."""
    with contextlib.suppress(Unreachable):
        return await told(channel)
    return []


async def told(channel: Channel) -> list[dict[str, Any]]:
    """Return all that comes until the other side hangs up. Raises what TLS finds wrong."""
    data, words = b"", []
    try:
        while portion := await channel.receive():
            data += portion
    except Unreachable:
        if not data:
            raise
    while len(data) >= 4:
        length = int.from_bytes(data[:4], "big")
        words.append(json.loads(data[4 : 4 + length]))
        data = data[4 + length :]
    return words


def hello(lowest: int = 1, highest: int = 1) -> Hello:
    return Hello(lowest=lowest, highest=highest, software="test", clock="boot-9", wall=now())


def issued(authority: Authority, name: str, *, age: timedelta, lifetime: timedelta) -> Identity:
    """An identity that was issued ``age`` ago."""
    applicant = apply()
    made = authority.issue_agent(name, applicant.request, now() - age, lifetime)
    return applicant.accept(controller="", authority_pem=authority.pem, untrusted_certificate=made.pem, name=name)


async def refused(address: str, identity: Identity) -> YamoriError:
    """Connect by hand; return why that did not work."""
    try:
        channel = await shown(address, identity)
    except YamoriError as error:
        return error
    try:
        channel.send(frame(write(hello())))
        words = await told(channel)
    except YamoriError as error:
        return error
    finally:
        await channel.close()
    assert words[-1]["kind"] == "refusal"
    return rebuilt(Refusal(**words[-1]))


def parts(identity: Identity) -> dict[str, Any]:
    return {name: getattr(identity, name) for name in Identity.__dataclass_fields__}


async def dial_raw(address: str, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port), local_addr=(source, 0))
