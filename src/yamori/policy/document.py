"""Turn a YAML text that a person wrote into a pydantic model, or say what is wrong where, and how to mend it.

Not a YAML library: reading is ruamel.yaml's. Only plain data comes in: no tags, no merge keys, no expansion bombs.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from yamori.model.errors import Invalid
from yamori.policy.nodes import Mark, Node, compose, tidy
from yamori.policy.shapes import keys_at

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]
"""Where in a document: keys and list indices from the top."""

_MAX_ERRORS = 20
_QUOTED = re.compile(r"'([^']*)'")
_PLAIN_WORDS = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "dataclass_type": "must be a mapping of keys to values",
}


class Misplaced(ValueError):
    """What a validator of a whole model raises about one part of it: ``at`` is the way there from the model."""

    def __init__(self, what: str, at: Path) -> None:
        """Say what is wrong and where."""
        self.at = at
        super().__init__(what)


_BOUNDED = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs {min_length} entries or more",
    "too_long": "takes {max_length} entries at most",
    "string_too_short": "needs {min_length} characters or more",
    "string_too_long": "takes {max_length} characters at most",
    "string_pattern_mismatch": "must fit {pattern}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed text that remembers where everything stood. ``value`` is plain JSON-like data."""

    source: str
    root: Node

    @property
    def value(self) -> Any:
        """Return the content as dicts, lists, text, numbers, booleans and None."""
        return self.root.plain()

    def place(self, at: Path = ()) -> Mark:
        """Return line and column (from 1) of the nearest thing that is really there on the way to ``at``."""
        return _walk(self.root, at)[0]

    def line(self, at: Path, what: str, mend: str | None = None) -> str:
        """Write one error or warning the way an editor can jump to it: ``file:line:column: what (mend)``."""
        return self._line_at(self.place(at), at, what, mend)

    def _line_at(self, mark: Mark, at: Path, what: str, mend: str | None) -> str:
        path = _written(at)
        text = f"{self.source}:{mark.line}:{mark.column}: {path + ': ' if path else ''}{what}"
        return f"{text} ({mend})" if mend else text

    def error(self, at: Path, what: str, mend: str | None = None) -> Invalid:
        """Make the error for something that only the caller could find wrong."""
        return Invalid(self.line(at, what, mend), subject=self.source)

    def refuse_nothing(self) -> None:
        """Raise Invalid for every key that stands there without a value: it would silently mean its default."""
        empty = [(at, mark) for at, mark in _nothings(self.root, ()) if at]
        if empty:
            what, mend = "has no value", "give one or remove the key"
            lines = [self._line_at(mark, at, what, mend) for at, mark in empty[:_MAX_ERRORS]]
            raise Invalid("\n".join(lines), subject=self.source)

    def validate(self, model: type[M], *, at: Path = (), without: Sequence[str] = ()) -> M:
        """Make a model of the document, or of the part at ``at`` leaving out the keys ``without``.

        Validation is strict: a text is not taken for a number. Raises Invalid with one line an error.
        """
        value = self.value
        for key in at:
            value = value[key]
        if without and isinstance(value, dict):
            value = {key: child for key, child in value.items() if key not in without}
        try:
            return model.model_validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise Invalid("\n".join(self._lines(error, model, at)), subject=self.source) from None

    def _lines(self, error: ValidationError, model: type[BaseModel], at: Path) -> list[str]:
        found: list[tuple[int, int, str]] = []
        for item in error.errors(include_url=False):
            if item["type"] == "too_short" and item["input"]:
                continue  # its entries are there but wrong: each of them has its own line
            what, mend = _words(item, model)
            inner = getattr(item.get("ctx", {}).get("error"), "at", ())
            mark, real = _walk(self.root, (*at, *item["loc"], *inner), to_key=item["type"] == "extra_forbidden")
            path = (*real, item["loc"][-1]) if item["type"] == "missing" else real
            found.append((mark.line, mark.column, self._line_at(mark, path, what, mend)))
        lines = list(dict.fromkeys(line for _, _, line in sorted(found)))
        if len(lines) > _MAX_ERRORS:
            lines = [*lines[:_MAX_ERRORS], f"{self.source}: and {len(lines) - _MAX_ERRORS} more errors"]
        return lines


def parse(untrusted_text: str | bytes, source: str) -> Document:
    """Read one YAML document. ``source`` is the file's name as the operator knows it. Raises Invalid."""
    return Document(source=tidy(source), root=compose(untrusted_text, tidy(source)))


def load(untrusted_text: str | bytes, model: type[M], source: str) -> M:
    """Read a YAML text into a model. Raises Invalid: each line names file, line, column, what and how to mend."""
    return parse(untrusted_text, source).validate(model)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that was probably meant."""
    lowered = {k.lower(): k for k in known}
    hits = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[hits[0]] if hits else None


def _words(item: Any, model: type[BaseModel]) -> tuple[str, str | None]:
    """Say in plain words what pydantic found, and how to mend it."""
    kind: str = item["type"]
    given = item.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(str(item["loc"][-1]), keys_at(model, item["loc"][:-1]))
    if kind in {"enum", "literal_error"}:
        known = _QUOTED.findall(str(item["ctx"]["expected"])) or [str(item["ctx"]["expected"])]
        meant = nearest(str(given), known) if isinstance(given, str) else None
        mend = f"did you mean {meant!r}?" if meant else None
        return f"{_shown(given)} is not one of {', '.join(known)}", mend
    if kind == "value_error":
        return tidy(str(item["ctx"]["error"])), None
    if kind in _PLAIN_WORDS:
        words = _PLAIN_WORDS[kind]
        return (words, None) if kind == "missing" else (f"{words}, not {_shown(given)}", None)
    if kind in _BOUNDED:
        return _BOUNDED[kind].format(**item["ctx"]) + f", not {_shown(given)}", None
    words = str(item["msg"])
    return f"{words[:1].lower()}{words[1:]}, not {_shown(given)}", None


def _unknown_key(key: str, known: Sequence[str]) -> tuple[str, str | None]:
    meant = nearest(key, known)
    if meant:
        return f"unknown key {_shown(key)}", f"did you mean {meant!r}?"
    return f"unknown key {_shown(key)}", f"known here: {', '.join(known)}" if known else None


def _shown(value: Any) -> str:
    """Show a value from the document: bounded, and without characters that a terminal would obey."""
    if isinstance(value, str):
        return f"'{tidy(value, 60)}'"
    return {dict: "a mapping", list: "a list", type(None): "nothing", bool: str(value).lower()}.get(
        type(value), tidy(str(value), 60)
    )


def _walk(node: Node, at: Path, *, to_key: bool = False) -> tuple[Mark, Path]:
    """Follow a path as far as the document has it; words that are no key (names of union members) are skipped."""
    mark = node.mark
    real: list[str | int] = []
    for step in at:
        if isinstance(node.content, dict) and str(step) in node.content:
            key_mark, node = node.content[str(step)]
            mark = key_mark
        elif isinstance(node.content, list) and isinstance(step, int) and step < len(node.content):
            node = node.content[step]
            mark = node.mark
        else:
            continue
        real.append(step)
    if not to_key and not isinstance(node.content, dict | list):
        mark = node.mark
    return mark, tuple(real)


def _nothings(node: Node, at: Path) -> Iterator[tuple[Path, Mark]]:
    if node.content is None:
        yield at, node.mark
    elif isinstance(node.content, dict):
        for key, (_, child) in node.content.items():
            yield from _nothings(child, (*at, key))
    elif isinstance(node.content, list):
        for number, child in enumerate(node.content):
            yield from _nothings(child, (*at, number))


def _written(at: Path) -> str:
    text = ""
    for step in at:
        text += f"[{step}]" if isinstance(step, int) else f".{tidy(step, 60)}"
    return text.removeprefix(".")
