"""Large documents as JSON: read at the speed of the standard library, with the places of the rules alone."""

from __future__ import annotations

import json
from typing import Any

from yamori.modules.firewall.jsonnodes import MAX_BYTES
from yamori.policy.nodes import Mark, Node

_DEEPEST = 32


class Leaf(Node):
    """A value whose parts are not placed: its own place stands for theirs."""

    __slots__ = ("whole",)

    def __init__(self, mark: Mark, whole: Any) -> None:
        super().__init__(mark, content=True)
        self.whole = whole

    def plain(self) -> Any:
        """Return the value."""
        return self.whole


class _Unsound(ValueError):
    """Something that the exact reader has to look at."""


def quick_nodes(text: str) -> Node | None:
    """Return the tree of a sound text; None when anything is odd, so that the exact reader says what and where."""
    if len(text) > MAX_BYTES:
        return None
    try:
        whole = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        if not isinstance(whole, dict):
            return None
        _hold(whole, 0)
        parts: dict[str, tuple[Mark, Node]] = {
            key: (Mark(1, 1), Leaf(Mark(1, 1), each)) for key, each in whole.items()
        }
        if isinstance(whole.get("rules"), list):
            parts["rules"] = (Mark(1, 1), Node(Mark(1, 1), _rules(text, whole["rules"])))
    except (ValueError, RecursionError):
        return None
    return Node(Mark(1, 1), parts)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Unsound("a key stands there twice")
    return made


def _refuse(_word: str) -> Any:
    raise _Unsound("no number of JSON")


def _hold(value: Any, depth: int) -> None:
    """Refuse what the exact reader, or the reader of documents, would: no value, too deep, half characters."""
    if value is None or depth >= _DEEPEST:
        raise _Unsound("no value, or too deep")
    if isinstance(value, str):
        value.encode()  # raises ValueError for half of a surrogate pair
    elif isinstance(value, dict):
        for key, each in value.items():
            key.encode()
            _hold(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _hold(each, depth + 1)


def _rules(text: str, rules: list[Any]) -> list[Node]:
    """Place each rule, by reading the list of them once more, rule by rule."""
    decoder = json.JSONDecoder()
    at = _list(text, decoder)
    found: list[Node] = []
    line, start = 1 + text.count("\n", 0, at), text.rfind("\n", 0, at) + 1
    for rule in rules:
        low = _skip(text, at, ",")
        breaks = text.count("\n", at, low)
        if breaks:
            line, start = line + breaks, text.rfind("\n", 0, low) + 1
        found.append(Leaf(Mark(line, low - start + 1), rule))
        _, end = decoder.raw_decode(text, low)
        inner = text.count("\n", low, end)
        if inner:
            line, start = line + inner, text.rfind("\n", 0, end) + 1
        at = end
    return found


def _list(text: str, decoder: json.JSONDecoder) -> int:
    """Return where the first rule may begin: behind the bracket of the outermost key ``rules``."""
    at = text.index("{") + 1
    while True:
        at = _skip(text, at, ",")
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, at, ":")
        if key == "rules":
            return at + 1
        _, at = decoder.raw_decode(text, at)


def _skip(text: str, at: int, mark: str) -> int:
    while text[at] in " \t\r\n" or text[at] == mark:
        at += 1
    return at
