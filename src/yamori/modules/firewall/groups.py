"""A groups document as people write it: groups of VMs, services, networks, and who may call whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PlainValidator, StringConstraints, WithJsonSchema

from yamori.model.filter import MOST_SERVERS, Addressing, Failure, Replies
from yamori.model.filter import Service as Part
from yamori.modules.firewall.networks import Addresses, Networks, Routers
from yamori.modules.firewall.rates import RateSpec
from yamori.modules.firewall.service import MOST_PARTS, Service
from yamori.policy.document import Misplaced
from yamori.policy.nodes import tidy
from yamori.policy.selectors import STRICT, Selector, as_list

DEFAULT = "default"
"""The group of the VMs that are in no other."""
MOST_GROUPS, MOST_LISTS, MOST_RULES, MOST_WORDS = 10_000, 10_000, 200_000, 1024
"""How many groups, named services and networks, rules, and words in one list a document may have."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9 _.:()+@/-]{0,99}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
_WORD = {"type": "string", "minLength": 1, "maxLength": 200}
Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(as_list),
    Field(min_length=1, max_length=MOST_WORDS),
    WithJsonSchema({"anyOf": [_WORD, {"type": "array", "items": _WORD, "minItems": 1}]}),
]


class Mode(StrEnum):
    """Whether a group's drops are real, or only told about."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class At(StrEnum):
    """At whose card a rule is written."""

    BOTH = "both"
    """Members of groups in ``from`` may call, members of groups in ``to`` may be called."""
    FROM = "from"
    """Only the former: they may call; who is called needs a rule of its own."""
    TO = "to"
    """Only the latter: they may be called; who calls needs a rule of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """Whether what no rule allows is let through all the same, each way."""

    into: bool = False
    out: bool = False


def _unmatched(value: Any) -> Unmatched:
    if isinstance(value, Unmatched):
        return value
    words = {"deny": False, "allow": True}
    if isinstance(value, str) and value in words:
        return Unmatched(into=words[value], out=words[value])
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{tidy(str(value), 40)!r} is none of deny, allow, or {{in: …, out: …}}")
    for key, word in value.items():
        if key not in ("in", "out"):
            raise Misplaced(f"unknown key {tidy(str(key), 40)!r}: write in or out", (key,))
        if not isinstance(word, str) or word not in words:
            raise Misplaced(f"{tidy(str(word), 40)!r} is not one of deny, allow", (key,))
    return Unmatched(into=words[value.get("in", "deny")], out=words[value.get("out", "deny")])


_CHOICE = {"enum": ["deny", "allow"]}
_Unmatched = Annotated[
    Unmatched,
    PlainValidator(_unmatched),
    WithJsonSchema(
        {
            "anyOf": [
                _CHOICE,
                {
                    "type": "object",
                    "properties": {"in": _CHOICE, "out": _CHOICE},
                    "additionalProperties": False,
                    "minProperties": 1,
                },
            ]
        }
    ),
]


class Group(BaseModel):
    """VMs that share rules. A VM may be in many groups: what they allow is joined, what they bound holds.

    The group called ``default`` has no ``select``: it is of the VMs that are in no other group.
    """

    model_config = STRICT

    description: str | None = Field(default=None, description="For people.")
    select: Selector | None = Field(default=None, description="Which VMs; {} is every VM.")
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="observe only tells what would be dropped. A VM is enforced when any of its groups is.",
    )
    default: _Unmatched = Field(
        default=Unmatched(),
        description="What becomes of that which no rule allows: deny, allow, or {in, out}. "
        "Where groups overlap, deny holds.",
    )
    replies: Replies | None = Field(
        default=None,
        description="Answers to allowed connections: pass (usual), proven, none. The strictest.",
    )
    failure: Failure | None = Field(
        default=None, description="Where the filter cannot be carried out: closed (usual) or open. closed holds."
    )
    addressing: Addressing | None = Field(
        default=None, description="pinned (usual): only known addresses; any: the MAC alone. pinned holds."
    )
    reserved: Networks = Field(default=(), description="Never a VM's own, such as gateways.")
    dhcp_servers: Addresses = Field(
        default=(), max_length=MOST_SERVERS, description="May answer these VMs; none means no DHCP."
    )
    routers: Routers = Field(
        default=(), max_length=MOST_SERVERS, description="May advertise themselves, by link-local address."
    )
    serves: tuple[Part, ...] = Field(default=(), description="These VMs are DHCP servers, or routers.")
    rates: RateSpec = Field(default=RateSpec(), description="How often at most, for each card.")
    errors: bool | None = Field(
        default=None, description="ICMP errors about a VM's own packets pass (usual). false holds."
    )
    fragments: bool | None = Field(
        default=None, description="Later fragments of anything but TCP may pass; usually not. true holds."
    )


class Allow(BaseModel):
    """Who may call whom by which service. There is no order, and nothing is taken away by another rule.

    ``from`` and ``to`` name groups, networks, prefixes, or ``any``; at least one of them names a group.
    """

    model_config = STRICT

    id: Name = Field(description="Its name wherever a decision is told.")
    description: str | None = Field(default=None, description="For people.")
    from_: Words = Field(alias="from", description="Who calls.")
    to: Words = Field(description="Who is called.")
    except_: Words | None = Field(
        default=None,
        alias="except",
        description="Networks and prefixes of the other side that are not meant, though from or to covers them.",
    )
    services: Words = Field(
        description="Names, or in short: any, tcp/443, udp/53,5353, tcp/8000-8100, icmp/8, ip/47."
    )
    at: At = Field(
        default=At.BOTH,
        description="At whose card it is written: both, or only from or to as others do.",
    )


class Firewall(BaseModel):
    """A whole groups document."""

    model_config = STRICT

    version: Literal[1] = Field(description="The version of this format.")
    description: str | None = Field(default=None, description="For people.")
    networks: dict[Name, Networks] = Field(
        default={}, max_length=MOST_LISTS, description="Prefixes, addresses and ranges by name."
    )
    services: dict[Name, Annotated[tuple[Service, ...], Field(min_length=1, max_length=MOST_PARTS)]] = Field(
        default={}, max_length=MOST_LISTS, description="Services by name: a list of alternatives."
    )
    groups: dict[Name, Group] = Field(default={}, max_length=MOST_GROUPS, description="Groups of VMs by name.")
    rules: tuple[Allow, ...] = Field(default=(), max_length=MOST_RULES, description="Who may call whom.")
