"""Server-Sent Events as text: written by the service, read by the client. No network in here.

Format: WHATWG HTML, section "Server-sent events".
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from yamori.model.errors import Failed

HEARTBEAT = ": still here\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. ``id`` is what a client names to go on after it."""

    id: str | None
    event: str
    data: str


def written(message: Message) -> str:
    """Write a message. Line ends inside its parts cannot break out of it."""
    lines = [] if message.id is None else [f"id: {_one_line(message.id)}"]
    lines.append(f"event: {_one_line(message.event)}")
    lines += [f"data: {line}" for line in message.data.splitlines() or [""]]
    return "\n".join(lines) + "\n\n"


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """Read messages from lines without their ends; comments and unknown fields are passed over."""
    number: str | None = None
    kind, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Message(id=number, event=kind, data="\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            number = value


def event(message: Message) -> dict[str, Any]:
    """Read what a message holds as an event, with the message's ``id``. Raises Failed when it is none."""
    try:
        found = json.loads(message.data)
    except ValueError as why:
        raise Failed("the event stream carries something that is not JSON") from why
    if not isinstance(found, dict):
        raise Failed("the event stream carries something that is not an event")
    return {"kind": message.event, **found} if message.id is None else {"id": message.id, **found}


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
