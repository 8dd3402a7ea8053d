"""Nothing of the vendor's may come out of a driver: walk what it returned, down to the last leaf."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType, NoneType

import numpy as np

PLAIN = (NoneType, bool, int, float, str, bytes, timedelta)
OURS = ("yamori.model.", "yamori.capabilities.")


def foreign(value: object, where: str = "value") -> Iterator[str]:
    """Yield one sentence for each thing that is neither ours nor plain. Types must match exactly.

    A vendor's subclass of ``str`` is a vendor's object, and so is a NumPy scalar where a float was promised.
    """
    kind = type(value)
    if kind in PLAIN:
        return
    if isinstance(value, datetime | Enum | np.ndarray):
        yield from _leaf(value, where)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        if not _ours(kind):
            yield f"{where} is a {_name(kind)}"
        for field in dataclasses.fields(value):
            yield from foreign(getattr(value, field.name), f"{where}.{field.name}")
    elif kind in (dict, MappingProxyType, tuple, frozenset):
        for what, item in _items(value, where):
            yield from foreign(item, what)
    else:
        yield f"{where} is a {_name(kind)}, which is neither ours nor an immutable builtin"


def _leaf(value: object, where: str) -> Iterator[str]:
    kind = type(value)
    if isinstance(value, datetime) and (kind is not datetime or value.tzinfo is None):
        yield f"{where} is a {_name(kind)} without a time zone, or not a plain datetime"
    if isinstance(value, Enum) and not _ours(kind):
        yield f"{where} is the enum {_name(kind)}"
    if isinstance(value, np.ndarray) and (kind is not np.ndarray or value.dtype.kind not in "biuf"):
        yield f"{where} is not a plain array of numbers but {_name(kind)} of {value.dtype}"


def _items(value: object, where: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"a key of {where}", key
            yield f"{where}[{key!r}]"[:200], item
    elif isinstance(value, tuple | frozenset):
        for number, item in enumerate(value):
            yield f"{where}[{number}]", item


def assert_ours(value: object, where: str) -> None:
    """Fail with the first ten foreign things in a value."""
    found = [sentence for sentence, _ in zip(foreign(value, where), range(10), strict=False)]
    assert not found, "; ".join(found)


def _ours(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(OURS)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
