"""Services: protocols, ports and ICMP types, as a person writes them and as rules compare them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from yamori.model.filter_rule import ICMP, ICMPV6, MOST_TYPES, TCP, UDP, Span
from yamori.policy.document import Misplaced
from yamori.policy.nodes import tidy
from yamori.policy.selectors import STRICT

ANY = "any"
"""The word for every protocol, and for everybody."""
PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {
        "icmp": ICMP,
        "igmp": 2,
        "ipip": 4,
        "tcp": TCP,
        "udp": UDP,
        "gre": 47,
        "esp": 50,
        "ah": 51,
        "icmpv6": ICMPV6,
        "ospf": 89,
        "vrrp": 112,
        "sctp": 132,
    }
)
"""Protocols by name (IANA, Protocol Numbers)."""
TYPES: Mapping[int, Mapping[str, int]] = MappingProxyType(
    {
        ICMP: {
            "echo-reply": 0,
            "destination-unreachable": 3,
            "redirect": 5,
            "echo-request": 8,
            "router-advertisement": 9,
            "router-solicitation": 10,
            "time-exceeded": 11,
            "parameter-problem": 12,
            "timestamp-request": 13,
            "timestamp-reply": 14,
        },
        ICMPV6: {
            "destination-unreachable": 1,
            "packet-too-big": 2,
            "time-exceeded": 3,
            "parameter-problem": 4,
            "echo-request": 128,
            "echo-reply": 129,
        },
    }
)
"""ICMP types by name (IANA, ICMP and ICMPv6 Parameters)."""
_PORTS = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")
MOST_PARTS = 256
"""How many ports, types or alternatives one service may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What connections a service is: as the fields of the same names of a Rule."""

    protocol: int | None = None
    ports: tuple[Span, ...] = ()
    client_ports: tuple[Span, ...] = ()
    types: tuple[int, ...] = ()


def spans(value: Any) -> tuple[Span, ...]:
    """Read ports: a number, ``8000-8100``, or a list of these. Raises ValueError with the place."""
    many = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(many) <= MOST_PARTS:
        raise ValueError(f"needs 1 to {MOST_PARTS} ports or ranges")
    found = []
    for number, each in enumerate(many):
        at = (number,) if isinstance(value, list | tuple) else ()
        found.append(_span(each, at))
    return merged(found)


def _span(value: Any, at: tuple[int, ...]) -> Span:
    if isinstance(value, Span):
        return value
    matched = None if isinstance(value, bool) else _PORTS.fullmatch(str(value).strip())
    if matched is None:
        raise Misplaced(f"{_shown(value)} is no port; write it like 443 or 8000-8100", at)
    low, high = int(matched[1]), int(matched[2] or matched[1])
    if not low <= high <= 65535:
        raise Misplaced(f"{_shown(value)} is no range of ports from 0 to 65535", at)
    return Span(low=low, high=high)


def merged(parts: Iterable[Span]) -> tuple[Span, ...]:
    """Join ports that overlap or touch, in order."""
    found: list[Span] = []
    for part in sorted(parts, key=lambda span: (span.low, span.high)):
        if found and part.low <= found[-1].high + 1:
            found[-1] = Span(low=found[-1].low, high=max(found[-1].high, part.high))
        else:
            found.append(part)
    return tuple(found)


def written(parts: Iterable[Span]) -> list[int | str]:
    """Write ports as a person would."""
    return [span.low if span.low == span.high else f"{span.low}-{span.high}" for span in parts]


def protocol_number(value: Any) -> int | None:
    """Read a protocol: its name, its number, or ``any`` (None). Raises ValueError."""
    if value == ANY:
        return None
    if isinstance(value, str) and value.lower() in PROTOCOLS:
        return PROTOCOLS[value.lower()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value
    raise ValueError(f"{_shown(value)} is no protocol; write {', '.join(PROTOCOLS)}, any, or a number to 255")


def protocol_name(number: int | None) -> str | int:
    """Return a protocol's name, or its number where it has none here."""
    if number is None:
        return ANY
    return next((name for name, known in PROTOCOLS.items() if known == number), number)


def _types(value: Any) -> tuple[int | str, ...]:
    many = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(many) <= MOST_TYPES:
        raise ValueError(f"needs 1 to {MOST_TYPES} ICMP types")
    for number, each in enumerate(many):
        good = isinstance(each, str) or (isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= 255)
        if not good:
            raise Misplaced(f"{_shown(each)} is no ICMP type; write its name or a number to 255", (number,))
    return tuple(many)


_PORT_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 65535},
        {"type": "string", "pattern": "^[0-9]{1,5}( *- *[0-9]{1,5})?$"},
    ]
}


def _one_or_many(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]})


Ports = Annotated[tuple[Span, ...], PlainValidator(spans), _one_or_many(_PORT_SCHEMA)]
Types = Annotated[
    tuple[int | str, ...], PlainValidator(_types), _one_or_many({"type": ["integer", "string"], "maximum": 255})
]
Protocol = Annotated[
    int | None,
    PlainValidator(protocol_number),
    WithJsonSchema(
        {"anyOf": [{"enum": [*PROTOCOLS, ANY]}, {"type": "integer", "minimum": 0, "maximum": 255}]},
    ),
]


class Service(BaseModel):
    """One protocol with what of it is meant."""

    model_config = STRICT

    protocol: Protocol = Field(description="tcp, udp, icmp, icmpv6, another's name or number, or any.")
    ports: Ports | None = Field(default=None, description="Ports of the side that is called; left out: all.")
    client_ports: Ports | None = Field(default=None, description="Ports of the side that calls; left out: all.")
    types: Types | None = Field(default=None, description="ICMP types by number or name; left out: all.")

    def match(self) -> Match:
        """Return what rules compare. Raises ValueError when the parts do not belong together."""
        if (self.ports or self.client_ports) and self.protocol not in (TCP, UDP):
            raise Misplaced("ports belong to tcp and udp only", ("ports" if self.ports else "client_ports",))
        if self.types and self.protocol not in TYPES:
            raise Misplaced("types belong to icmp and icmpv6 only", ("types",))
        types = tuple(sorted({_type(self.protocol, each) for each in self.types or ()}))
        return Match(
            protocol=self.protocol, ports=self.ports or (), client_ports=self.client_ports or (), types=types
        )


def _type(protocol: int | None, word: int | str) -> int:
    if isinstance(word, int):
        return word
    known = TYPES[protocol or 0]
    if word not in known:
        raise Misplaced(f"{_shown(word)} is no type; write a number or {', '.join(known)}", ("types",))
    return known[word]


def short(word: str) -> Match | None:
    """Read a service in short: ``any``, ``tcp``, ``tcp/443``, ``udp/53,5353``, ``icmp/echo-request``, ``ip/47``.

    None when it is a name. Raises ValueError when it begins like one of these and does not go on so.
    """
    name, slash, rest = word.partition("/")
    if word == ANY:
        return Match()
    if name == "ip" and slash:
        return Match(protocol=protocol_number(int(rest) if re.fullmatch("[0-9]{1,3}", rest) else rest))
    if name not in PROTOCOLS:
        return None
    number = PROTOCOLS[name]
    if not slash:
        return Match(protocol=number)
    parts: list[Any] = [part.strip() for part in rest.split(",")]
    if number in TYPES:
        types = [int(part) if re.fullmatch("[0-9]{1,3}", part) else part for part in parts]
        return Match(protocol=number, types=tuple(sorted({_type(number, each) for each in _types(types)})))
    if number not in (TCP, UDP):
        raise ValueError(f"{_shown(word)}: only tcp, udp, icmp and icmpv6 are written with a slash")
    return Match(protocol=number, ports=spans(parts))


def in_short(match: Match) -> str | None:
    """Write a service in short, so that ``short`` reads the same; None where that cannot say it."""
    name = protocol_name(match.protocol)
    if match.client_ports:
        return None
    if match.protocol is None or not (match.ports or match.types):
        return str(name) if isinstance(name, str) else f"ip/{name}"
    rest = match.types or written(match.ports)
    return f"{name}/{','.join(str(part) for part in rest)}"


def _shown(value: Any) -> str:
    return repr(tidy(str(value), 40))
