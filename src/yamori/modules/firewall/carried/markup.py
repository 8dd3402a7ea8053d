"""XML from others: parsed without document types or entities, in bounds of size, depth and number of elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from yamori.model.errors import Invalid
from yamori.policy.nodes import tidy

MOST_BYTES, MOST_ELEMENTS, MOST_DEPTH = 16 << 20, 300_000, 32


@dataclass(slots=True)
class Element:
    """One element, with the line and column (from 1) where it begins. Text between elements is not kept."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    column: int
    children: list[Element] = field(default_factory=list)


def read_xml(untrusted_text: str | bytes, source: str) -> Element:
    """Parse XML that declares nothing of its own. Raises Invalid."""
    data = untrusted_text.encode("utf-8", "replace") if isinstance(untrusted_text, str) else untrusted_text
    if len(data) > MOST_BYTES:
        raise Invalid(f"{source}:1:1: the file is larger than {MOST_BYTES} bytes (split it)", subject=source)
    parser = expat.ParserCreate("utf-8")
    outer = Element("", {}, 1, 1)
    stack, count = [outer], 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        if len(stack) > MOST_DEPTH or count > MOST_ELEMENTS:
            raise Invalid(f"{source}:{line}:{column}: too deep, or too many elements", subject=source)
        element = Element(tag, attributes, line, column)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        stack.pop()

    def refuse(*_declared: object) -> None:
        where = f"{source}:{parser.CurrentLineNumber}:1"
        raise Invalid(f"{where}: XML with a document type is not read", subject=source)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 -- the whole document; expat takes no keyword
    except expat.ExpatError as error:
        where = f"{source}:{error.lineno}:{error.offset + 1}"
        what = tidy(expat.errors.messages.get(error.code, "malformed"), 100)
        raise Invalid(f"{where}: this is not XML: {what}", subject=source) from None
    return outer.children[0]
