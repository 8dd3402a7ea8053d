"""Several YAML documents in one file, each read by the reader of one, with the numbers of lines of the whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yamori.model.errors import Invalid
from yamori.policy.document import Document, parse
from yamori.policy.nodes import MAX_BYTES, Mark, Node

MOST_DOCUMENTS = 5_000
_BREAK = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)


def documents(untrusted_text: str | bytes, source: str) -> Iterator[Document]:
    """Read all documents that say anything. Raises Invalid."""
    if len(untrusted_text) > MAX_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MAX_BYTES} bytes (split it)", subject=source)
    whole = untrusted_text.decode("utf-8", "replace") if isinstance(untrusted_text, bytes) else untrusted_text
    breaks = list(_BREAK.finditer(whole))
    if len(breaks) > MOST_DOCUMENTS:
        raise Invalid(f"{source}:1:1: more than {MOST_DOCUMENTS} documents (split it)", subject=source)
    start = line = 0
    for match in [*breaks, None]:
        end = len(whole) if match is None else match.start()
        piece = whole[start:end]
        if any(each.strip() and not each.lstrip().startswith("#") for each in piece.splitlines()):
            yield _one(piece, line, source)
        if match is not None:
            line += whole.count("\n", start, match.end())
            start = match.end()


def _one(piece: str, line: int, source: str) -> Document:
    try:
        document = parse(piece, source)
    except Invalid:
        return parse("\n" * line + piece, source)  # the same error, told with its place in the whole
    _move(document.root, line, set())
    return document


def _move(node: Node, lines: int, seen: set[int]) -> None:
    if id(node) in seen:  # an alias: the same node stands in several places
        return
    seen.add(id(node))
    node.mark = _moved(node.mark, lines)
    if isinstance(node.content, dict):
        node.content = {key: (_moved(mark, lines), child) for key, (mark, child) in node.content.items()}
        children = [child for _, child in node.content.values()]
    else:
        children = node.content if isinstance(node.content, list) else []
    for child in children:
        _move(child, lines, seen)


def _moved(mark: Mark, lines: int) -> Mark:
    return Mark(mark.line + lines, mark.column)
