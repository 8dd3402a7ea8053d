"""Groups of NSX as selectors (Policy API, types Group, Condition, ConjunctionOperator, IPAddressExpression)."""

from __future__ import annotations

from typing import Any

from yamori.model.filter_rule import Network
from yamori.modules.firewall.carried.plainjson import listed, mapping, text
from yamori.modules.firewall.carried.sheet import literal
from yamori.modules.firewall.networks import networks
from yamori.policy.selectors import Selector

MOST_DEPTH = 8


class Unsaid(Exception):
    """Why something cannot be carried over."""


def select_of(group: dict[str, Any]) -> tuple[Selector | None, list[Network]]:
    """Return which VMs are in a group, None for none, and which addresses. Raises Unsaid."""
    parts: list[Selector] = []
    prefixes: list[Network] = []
    joint: str | None = None
    for each in map(mapping, listed(group.get("expression"))):
        kind = text(each.get("resource_type"))
        if kind == "ConjunctionOperator":
            word = text(each.get("conjunction_operator"))
            if joint not in (None, word) or word not in ("AND", "OR"):
                raise Unsaid("its group joins conditions by AND and OR side by side")
            joint = word
        elif kind == "IPAddressExpression":
            prefixes += _addresses(each)
        else:
            parts.append(_condition(each, 0))
    if joint == "AND" and prefixes:
        raise Unsaid("its group asks for tags and addresses at once")
    if not parts:
        return None, prefixes
    if len(parts) == 1:
        return parts[0], prefixes
    whole = Selector(all=tuple(parts)) if joint == "AND" else Selector(any=tuple(parts))
    return whole, prefixes


def _addresses(each: dict[str, Any]) -> list[Network]:
    found: list[Network] = []
    for word in listed(each.get("ip_addresses")):
        try:
            read = networks(text(word))
        except ValueError as error:
            raise Unsaid(str(error)) from None
        if read is None:
            raise Unsaid(f"{text(word, 60)!r} is no address")
        found += read
    return found


def _condition(each: dict[str, Any], depth: int) -> Selector:
    kind = text(each.get("resource_type"))
    if kind == "NestedExpression" and depth < MOST_DEPTH:
        inner, words = [], set()
        for part in map(mapping, listed(each.get("expressions"))):
            if text(part.get("resource_type")) == "ConjunctionOperator":
                words.add(text(part.get("conjunction_operator")))
            else:
                inner.append(_condition(part, depth + 1))
        if not inner or len(words) > 1 or not words <= {"AND", "OR"}:
            raise Unsaid("its group has a nested expression that is not known here")
        return Selector(any=tuple(inner)) if words == {"OR"} else Selector(all=tuple(inner))
    if kind != "Condition" or text(each.get("member_type")) != "VirtualMachine":
        raise Unsaid(f"its group has members by {kind or 'nothing'} that are not known here")
    return _compared(text(each.get("key")), text(each.get("operator")), text(each.get("value")))


def _compared(key: str, operator: str, value: str) -> Selector:
    shapes = {"EQUALS": "{}", "NOTEQUALS": "{}", "STARTSWITH": "{}*", "ENDSWITH": "*{}", "CONTAINS": "*{}*"}
    if operator not in shapes or not value:
        raise Unsaid(f"its group compares by {operator}, which is not known here")
    if key == "Name":
        found = Selector(name=(shapes[operator].format(literal(value)),))
    elif key == "Tag":
        scope, bar, tag = value.partition("|")
        if not bar or not scope:
            raise Unsaid("its group asks for a tag of any scope: a label has a name here")
        found = Selector(label={scope: (shapes[operator].format(literal(tag)) or "*",)})
    else:
        raise Unsaid(f"its group asks for {key}, which is not known here")
    return Selector.model_validate({"not": found}) if operator == "NOTEQUALS" else found
