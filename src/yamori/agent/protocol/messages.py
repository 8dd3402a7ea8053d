"""The messages, as closed models. What the other side sends is read strictly, or not at all.

Only the greetings tolerate members that are not known here: a later version must be able to introduce itself.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from yamori.agent.protocol.frames import Garbled

LOWEST, HIGHEST = 1, 1
"""The versions of the protocol that are spoken here."""
LONGEST_TEXT = 1000
LARGEST_ID = 2**53
MOST_SECONDS = 600.0


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """Bound a text of ours before it is sent."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _printable(untrusted_text: Any) -> Any:
    """Replace what a log or a terminal would obey."""
    if not isinstance(untrusted_text, str):
        return untrusted_text
    return "".join(c if c.isprintable() else " " for c in untrusted_text)


Text = Annotated[str, Field(max_length=LONGEST_TEXT), BeforeValidator(_printable)]
Word = Annotated[str, Field(max_length=64), BeforeValidator(_printable)]
Version = Annotated[int, Field(ge=0, le=65_535)]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Pem = Annotated[str, Field(max_length=4096)]


class Message(BaseModel):
    """One message. ``kind`` tells them apart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Greeting(Message):
    """A message that comes before a version is agreed upon."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Hello(Greeting):
    """The agent's first word. ``clock`` names its monotonic clock: a boot of its host."""

    kind: Literal["hello"] = "hello"
    lowest: Version
    highest: Version
    software: Word
    clock: Word
    wall: AwareDatetime


class Welcome(Greeting):
    """The controller's answer: the version that is spoken from here on."""

    kind: Literal["welcome"] = "welcome"
    version: Version
    software: Word
    wall: AwareDatetime


class Refusal(Greeting):
    """Either side's last word before it hangs up: why, and how to mend it."""

    kind: Literal["refusal"] = "refusal"
    code: Word
    message: Text
    mend: Text | None = None


class Presentation(Greeting):
    """The controller's first word to somebody without a certificate: its authority, and its clock."""

    kind: Literal["authority"] = "authority"
    certificate: Pem
    wall: AwareDatetime


class Enrol(Greeting):
    """What somebody without a certificate may say, once: here is my token, this is my key."""

    kind: Literal["enrol"] = "enrol"
    lowest: Version
    highest: Version
    token: Annotated[str, Field(max_length=64)]
    secret: Annotated[str, Field(max_length=128)] = Field(repr=False)
    request: Pem
    wall: AwareDatetime


class Enrolment(Greeting):
    """The controller's answer: who you are from now on."""

    kind: Literal["enrolled"] = "enrolled"
    name: Word
    certificate: Pem


class Call(Message):
    """Do something and answer within ``timeout_s``."""

    kind: Literal["call"] = "call"
    id: Id
    name: Word
    timeout_s: Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]
    arguments: Any


class Cancel(Message):
    """Whoever called waits no longer."""

    kind: Literal["cancel"] = "cancel"
    id: Id


class Answer(Message):
    """What a call came to."""

    kind: Literal["answer"] = "answer"
    id: Id
    value: Any


class FaultWords(Message):
    """An error of the model's tree in words."""

    code: Word
    message: Text
    subject: Text | None = None
    mend: Text | None = None


class Fault(Message):
    """Why a call came to nothing."""

    kind: Literal["fault"] = "fault"
    id: Id
    error: FaultWords


class Ping(Message):
    """Are you there?"""

    kind: Literal["ping"] = "ping"


class Pong(Message):
    """I am."""

    kind: Literal["pong"] = "pong"


AnyMessage = (
    Hello | Welcome | Refusal | Presentation | Enrol | Enrolment | Call | Cancel | Answer | Fault | Ping | Pong
)
_READER: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="kind")])


def write(message: Message) -> bytes:
    """Write a message as JSON."""
    return message.model_dump_json().encode("utf-8")


def read(untrusted_body: bytes) -> AnyMessage:
    """Read a message. Raises Garbled, and does not repeat what came."""
    try:
        return _READER.validate_json(untrusted_body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:4])
        raise Garbled(f"a message cannot be read: {where or 'it'}: {first['msg'][:100]}") from None


def agreed(lowest: int, highest: int) -> int | None:
    """Return the highest version that both sides speak, None where there is none."""
    version = min(highest, HIGHEST)
    return version if version >= max(lowest, LOWEST) else None


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
