"""Write a groups document as YAML that reads the same: one line a group, a list, a service, a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from yamori.modules.firewall.groups import Allow, At, Firewall, Group, Unmatched
from yamori.modules.firewall.networks import plainly
from yamori.modules.firewall.rates import written as rate_written
from yamori.modules.firewall.service import Service, protocol_name
from yamori.modules.firewall.service import written as ports_written

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+){3}(/[0-9]+)?")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_text(firewall: Firewall) -> str:
    """Return the document as YAML."""
    return "\n".join(_lines(firewall)) + "\n"


def _lines(firewall: Firewall) -> Iterator[str]:
    yield f"version: {firewall.version}"
    if firewall.description is not None:
        yield f"description: {_flow(firewall.description)}"
    sections: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("networks", {name: [plainly(each) for each in listed] for name, listed in firewall.networks.items()}),
        ("services", {n: [_service(each) for each in many] for n, many in firewall.services.items()}),
        ("groups", {name: _group(group) for name, group in firewall.groups.items()}),
    )
    for title, content in sections:
        if content:
            yield f"{title}:"
            for name, value in content.items():
                yield f"  {_flow(name)}: {_flow(value)}"
    if firewall.rules:
        yield "rules:"
        for rule in firewall.rules:
            yield f"  - {_flow(_rule(rule))}"


def _service(service: Service) -> dict[str, Any]:
    plain: dict[str, Any] = {"protocol": protocol_name(service.protocol)}
    for key, ports in (("ports", service.ports), ("client_ports", service.client_ports)):
        if ports:
            plain[key] = ports_written(ports)
    if service.types:
        plain["types"] = list(service.types)
    return plain


def _group(group: Group) -> dict[str, Any]:
    words = {False: "deny", True: "allow"}
    rates = {name: rate_written(rate) for name, rate in group.rates if rate is not None}
    select = group.select
    plain: dict[str, Any] = {
        "description": group.description,
        "select": None if select is None else select.model_dump(mode="json", by_alias=True, exclude_none=True),
        "mode": group.mode.value,
        "default": {"in": words[group.default.into], "out": words[group.default.out]},
        **{key: _value(getattr(group, key)) for key in ("replies", "failure", "addressing")},
        **{key: [str(e) for e in getattr(group, key)] or None for key in ("reserved", "dhcp_servers", "routers")},
        "serves": [each.value for each in group.serves] or None,
        "rates": rates or None,
        "errors": group.errors,
        "fragments": group.fragments,
    }
    if group.default == Unmatched():
        del plain["default"]
    return {key: value for key, value in plain.items() if value is not None}


def _value(word: Any) -> Any:
    return None if word is None else word.value


def _rule(rule: Allow) -> dict[str, Any]:
    plain: dict[str, Any] = {"id": rule.id}
    if rule.description is not None:
        plain["description"] = rule.description
    plain |= {"from": list(rule.from_), "to": list(rule.to), "services": list(rule.services)}
    if rule.except_ is not None:
        plain["except"] = list(rule.except_)
    if rule.at is not At.BOTH:
        plain["at"] = rule.at.value
    return plain


def _flow(value: Any) -> str:
    """Write a value on one line; text is quoted where it could be read as anything else."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return _flow(value[0]) if len(value) == 1 and _alone(value[0]) else f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _alone(value: Any) -> bool:
    """One value may stand for a list of one, except a service's alternative and whole parts of selectors."""
    return not isinstance(value, dict)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
