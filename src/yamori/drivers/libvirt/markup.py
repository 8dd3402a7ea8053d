"""XML from others: parsed without document types or entities, in bounds of size, depth and number of elements.

The standard library's tree parser cannot be told to refuse document types; its expat can.
"""

from xml.etree import ElementTree as ET
from xml.parsers import expat

from yamori.drivers.libvirt.words import clean
from yamori.model.errors import Invalid

_MOST_BYTES = 4 << 20
_MOST_ELEMENTS = 50_000
_MOST_DEPTH = 64


def parse(untrusted_xml: str) -> ET.Element:
    """Parse XML that declares nothing of its own (no document type, so no entities) and stays in bounds.

    Raises Invalid.
    """
    data = untrusted_xml.encode("utf-8", "surrogatepass")
    if len(data) > _MOST_BYTES:
        raise Invalid(f"XML of {len(data)} bytes: more than {_MOST_BYTES} are not read")
    builder = _Bounded()
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)  # noqa: FBT003 - the whole document; expat takes no keyword
    except (expat.ExpatError, ValueError) as error:
        raise Invalid(f"malformed XML: {clean(str(error), 120)}") from None
    return builder.root()


class _Bounded:
    """Builds a tree of bounded depth and number of elements."""

    def __init__(self) -> None:
        self._tree = ET.TreeBuilder()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _MOST_DEPTH or self._elements > _MOST_ELEMENTS:
            raise Invalid("XML too deep or with too many elements")
        self._tree.start(_name(tag), {_name(k): v for k, v in attributes.items()})

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(_name(tag))

    def text(self, text: str) -> None:
        self._tree.data(text)

    def root(self) -> ET.Element:
        return self._tree.close()


def _name(expanded: str) -> str:
    """Turn expat's ``namespace}name`` into ElementTree's ``{namespace}name``."""
    return f"{{{expanded}" if "}" in expanded else expanded


def _refuse_doctype(*_declared: object) -> None:
    raise Invalid("XML with a document type is not read")
