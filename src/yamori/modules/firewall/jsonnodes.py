"""A JSON text as the tree of nodes with positions that YAML gives: exact, where something is wrong in a text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from yamori.model.errors import Invalid
from yamori.policy.nodes import Mark, Node, tidy

MAX_BYTES = 32 << 20
MAX_NODES = 4_000_000
MAX_DEPTH = 32
_TOKEN = re.compile(
    r"[ \t\r]*(?:(?P<break>\n)"
    r'|(?P<text>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<mark>[][{}:,])"
    r"|(?P<number>-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?)"
    r"|(?P<word>true|false|null)|(?P<end>\Z)|(?P<wrong>.))"
)
_WORDS = {"true": True, "false": False, "null": None}
_OPENS = "{["


def read_nodes(untrusted_text: str | bytes, source: str) -> Node:
    """Read exactly one JSON value (RFC 8259). Raises Invalid with place: not JSON, a key twice, beyond bounds."""
    if len(untrusted_text) > MAX_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MAX_BYTES} bytes (split it)", subject=source)
    try:
        text = untrusted_text if isinstance(untrusted_text, str) else untrusted_text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(f"{source}:1:1: this is not UTF-8 text (save it as UTF-8)", subject=source) from None
    return _Reader(source).read(text)


class _Reader:
    """Builds the tree with a stack of its own; ``_want`` is what may come next."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._stack: list[Node] = []
        self._root: Node | None = None
        self._want = "value"
        self._key: tuple[str, Mark] | None = None

    def read(self, text: str) -> Node:
        line, start, count = 1, 0, 0
        for match in _TOKEN.finditer(text):
            kind, low = match.lastgroup or "wrong", match.start(match.lastgroup or 0)
            if kind == "break":
                line, start = line + 1, match.end()
                continue
            if kind == "end":
                break
            mark = Mark(line, low - start + 1)
            count += 1
            if count > MAX_NODES:
                raise self._refuse(mark, f"more than {MAX_NODES} words")
            self._take(kind, match[kind], mark)
        if self._root is None or self._stack:
            raise self._refuse(Mark(line, 1), "the text ends too early")
        return self._root

    def _take(self, kind: str, word: str, mark: Mark) -> None:
        if kind == "mark" and word not in _OPENS:
            self._punctuate(word, mark)
        elif self._want in ("key", "key or end"):
            self._name(kind, word, mark)
        elif self._want not in ("value", "value or end"):
            raise self._refuse(mark, f"{tidy(word, 20)!r} stands where a comma or an end is wanted")
        elif kind == "mark":
            node = Node(mark, {} if word == "{" else [])
            self._put(node)
            self._stack.append(node)
            if len(self._stack) > MAX_DEPTH:
                raise self._refuse(mark, f"nested deeper than {MAX_DEPTH} levels")
            self._want = "key or end" if word == "{" else "value or end"
        else:
            self._put(Node(mark, self._scalar(kind, word, mark)))
            self._want = "comma or end"

    def _punctuate(self, word: str, mark: Mark) -> None:
        inside = self._stack[-1].content if self._stack else None
        closes = (word == "}" and isinstance(inside, dict)) or (word == "]" and isinstance(inside, list))
        if closes and self._want.endswith("or end"):
            self._stack.pop()
            self._want = "comma or end"
        elif word == ":" and self._want == "colon":
            self._want = "value"
        elif word == "," and self._want == "comma or end" and inside is not None:
            self._want = "key" if isinstance(inside, dict) else "value"
        else:
            raise self._refuse(mark, f"{word!r} is not wanted here")

    def _name(self, kind: str, word: str, mark: Mark) -> None:
        if kind != "text":
            raise self._refuse(mark, "a key must be text")
        key = json.loads(word)
        there = self._stack[-1].content
        if key in there:
            raise self._refuse(mark, f"key '{tidy(key, 60)}' was given already on line {there[key][0].line}")
        self._key, self._want = (key, mark), "colon"

    def _put(self, node: Node) -> None:
        if not self._stack:
            if self._root is not None:
                raise self._refuse(node.mark, "a second value begins here")
            self._root = node
            return
        there: Any = self._stack[-1].content
        if isinstance(there, list):
            there.append(node)
        elif self._key is not None:
            there[self._key[0]] = (self._key[1], node)

    def _scalar(self, kind: str, word: str, mark: Mark) -> Any:
        if kind == "text":
            text = json.loads(word)
            if any("\ud800" <= c <= "\udfff" for c in text):
                raise self._refuse(mark, "half of a surrogate pair is no text")
            return text
        if kind == "word":
            return _WORDS[word]
        if kind != "number":
            raise self._refuse(mark, f"this is not JSON: {tidy(word, 20)!r}")
        number = json.loads(word)
        if not math.isfinite(number):
            raise self._refuse(mark, "this number is too large")
        return number

    def _refuse(self, mark: Mark, what: str) -> Invalid:
        return Invalid(f"{self._source}:{mark.line}:{mark.column}: {what}", subject=self._source)
