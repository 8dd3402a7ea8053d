"""A YAML text as a tree of plain nodes with positions, bounded in size, depth and alias expansion."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from yamori.model.errors import Invalid

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_NODES = 100_000

_INT = re.compile(r"[-+]?[0-9]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def tidy(untrusted: str, limit: int = 300) -> str:
    """Bound a text and replace whatever is not printable, so that it can stand in a message."""
    cut = untrusted[:limit]
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)
    return clean if len(untrusted) <= limit else clean + "…"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text, counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """One value and where it stands. ``size`` and ``depth`` are those after aliases are expanded."""

    mark: Mark
    content: Any
    """A scalar, a list of nodes, or a dict from key to (key's mark, node)."""
    size: int = 1
    depth: int = 1
    open: bool = False
    key: tuple[str, Mark] | None = field(default=None, repr=False)

    def plain(self) -> Any:
        """Return dicts, lists and scalars."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, (_, node) in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content


def compose(untrusted_text: str | bytes, source: str) -> Node:
    """Read exactly one YAML 1.2 document of plain data. Raises Invalid with place and mend."""
    text = _decoded(untrusted_text, source)
    try:
        return _Builder(source).build(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"
        what = tidy(" ".join(str(p) for p in (error.context, error.problem) if p))
        raise Invalid(f"{source}:{where}: this is not YAML: {what}", subject=source) from None
    except YAMLError as error:
        what = tidy(" ".join(str(error).split()))
        raise Invalid(f"{source}:1:1: this is not YAML: {what}", subject=source) from None


def _decoded(untrusted_text: str | bytes, source: str) -> str:
    if len(untrusted_text) > MAX_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MAX_BYTES} bytes (split it)", subject=source)
    if isinstance(untrusted_text, str):
        return untrusted_text
    try:
        return untrusted_text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = untrusted_text.count(b"\n", 0, error.start) + 1
        column = error.start - untrusted_text.rfind(b"\n", 0, error.start)
        raise Invalid(
            f"{source}:{line}:{column}: this is not UTF-8 text (save it as UTF-8)", subject=source
        ) from None


class _Builder:
    """Builds the tree from parser events with a stack of its own, so that deep nesting cannot exhaust Python's."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._stack: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None
        self._documents = 0

    def build(self, events: Iterator[Any]) -> Node:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(_mark(event), "a second document begins here", "keep one document a file")
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self._close()
            elif isinstance(event, NodeEvent):
                self._take(event)
        if self._root is None:
            raise self._refuse(Mark(1, 1), "the file is empty", None)
        return self._root

    def _take(self, event: NodeEvent) -> None:
        mark = _mark(event)
        if isinstance(event, AliasEvent):
            node = self._anchors.get(str(event.anchor))
            if node is None or node.open:
                raise self._refuse(mark, f"alias *{tidy(str(event.anchor), 60)} points to nothing complete", None)
            self._put(node, mark)
            return
        if getattr(event, "tag", None):
            raise self._refuse(mark, "YAML tags are not taken", "quote the value instead")
        if isinstance(event, ScalarEvent):
            plain = event.style is None
            node = Node(mark, self._scalar(event.value, mark) if plain else event.value)
            node.key = (event.value, mark)
        else:
            mapping = isinstance(event, MappingStartEvent)
            node = Node(mark, {} if mapping else [], open=True)
        if event.anchor:
            self._anchors[str(event.anchor)] = node
        if node.open:
            if len(self._stack) >= MAX_DEPTH:
                raise self._refuse(mark, f"nested deeper than {MAX_DEPTH} levels", None)
            self._stack.append(node)
        else:
            self._put(node, mark)

    def _close(self) -> None:
        node = self._stack.pop()
        node.open = False
        self._put(node, node.mark)

    def _put(self, node: Node, mark: Mark) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if isinstance(parent.content, list):
            parent.content.append(node)
        elif parent.key is None:
            parent.key = self._as_key(node, mark, parent)
            return
        else:
            text, key_mark = parent.key
            parent.content[text] = (key_mark, node)
            parent.key = None
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.size > MAX_NODES:
            raise self._refuse(mark, f"more than {MAX_NODES} values after aliases are expanded", None)
        if len(self._stack) + node.depth > MAX_DEPTH + 1:
            raise self._refuse(mark, f"nested deeper than {MAX_DEPTH} levels after aliases are expanded", None)

    def _as_key(self, node: Node, mark: Mark, parent: Node) -> tuple[str, Mark]:
        if node.key is None or isinstance(node.content, dict | list):
            raise self._refuse(mark, "a key must be text", "quote it")
        text = node.key[0]
        if text == "<<":
            raise self._refuse(mark, "merge keys (<<) are not taken", "write the keys out")
        if text in parent.content:
            first = parent.content[text][0]
            what = f"key '{tidy(text, 60)}' was given already on line {first.line}"
            raise self._refuse(mark, what, "keep one of them")
        return text, mark

    def _scalar(self, text: str, mark: Mark) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _SPECIAL.fullmatch(text):
            raise self._refuse(
                mark, f"'{tidy(text, 60)}' is no number that can be used", "leave the key out instead"
            )
        if _FLOAT.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise self._refuse(mark, "this number is too large", None)
            return number
        return text

    def _refuse(self, mark: Mark, what: str, mend: str | None) -> Invalid:
        text = f"{self._source}:{mark.line}:{mark.column}: {what}"
        return Invalid(f"{text} ({mend})" if mend else text, subject=self._source)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)
