"""Strict reading of plain JSON: what does not fit the type that is wanted raises Invalid with its place."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar, overload

from yamori.model.errors import Invalid

T = TypeVar("T")

VERB = "verb"
"""The member that tells apart the values of a union: each class carries it as a class variable."""

DEEPEST = 64
"""How deep free JSON may be nested before it is refused."""

_Reader = Callable[[Any, str], Any]


@overload
def from_plain(kind: type[T], untrusted_plain: Any, *, where: str = ...) -> T: ...
@overload
def from_plain(kind: Any, untrusted_plain: Any, *, where: str = ...) -> Any: ...
def from_plain(kind: Any, untrusted_plain: Any, *, where: str = "") -> Any:
    """Turn plain JSON into a value of the given type: a dataclass, enum, union, mapping, tuple or scalar.

    Strict: a missing or unknown member, a wrong type, an unknown verb raise Invalid that names the place
    (``where`` is what the place's name begins with).
    """
    return _reader(kind)(untrusted_plain, where or "value")


@functools.cache
def _reader(kind: Any) -> _Reader:
    """Find how values of one type are read. Raises Invalid for a type that has no plain form."""
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is not None:
        return _container(kind, origin, arguments)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enumeration(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _object(kind)
    raise Invalid(f"{kind} has no plain form")


def _wrong(where: str, wanted: str, plain: Any) -> Invalid:
    shown = repr(plain)
    return Invalid(f"{where}: expected {wanted}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")


def sound_text(untrusted_text: str, where: str) -> str:
    """Refuse half a surrogate pair: JSON's escapes can say it, but no file or database can keep it."""
    if not untrusted_text.isascii():
        try:
            untrusted_text.encode()
        except UnicodeEncodeError:
            raise Invalid(f"{where}: half a surrogate pair is no text") from None
    return str(untrusted_text)


def _within(where: str, untrusted_key: object) -> str:
    return f"{where}.{str(untrusted_key)[:60]}"


def _read_text(plain: Any, where: str) -> str:
    if not isinstance(plain, str):
        raise _wrong(where, "text", plain)
    return sound_text(plain, where)


def _read_flag(plain: Any, where: str) -> bool:
    if not isinstance(plain, bool):
        raise _wrong(where, "true or false", plain)
    return plain


def _read_integer(plain: Any, where: str) -> int:
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise _wrong(where, "a whole number", plain)
    return plain


def _read_number(plain: Any, where: str) -> float:
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise _wrong(where, "a number", plain)
    try:
        number = float(plain)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(where, "a finite number", plain)
    return number


def _read_time(plain: Any, where: str) -> datetime:
    try:
        read = datetime.fromisoformat(_read_text(plain, where))
    except ValueError:
        raise _wrong(where, "a time (RFC 3339)", plain) from None
    if read.tzinfo is None:
        raise _wrong(where, "a time with a zone", plain)
    try:
        return read.astimezone(UTC)
    except OverflowError:  # its zone takes it out of the years 1 to 9999
        raise _wrong(where, "a time of the years 1 to 9999", plain) from None


def _read_nothing(plain: Any, where: str) -> None:
    if plain is not None:
        raise _wrong(where, "null", plain)


def _read_free(plain: Any, where: str, depth: int = 0) -> Any:
    """Take free JSON as it is, once it has been seen to be JSON."""
    if depth > DEEPEST:
        raise Invalid(f"{where}: nested deeper than {DEEPEST} levels")
    if isinstance(plain, dict):
        return {_read_text(k, where): _read_free(v, _within(where, k), depth + 1) for k, v in plain.items()}
    if isinstance(plain, list):
        return [_read_free(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(plain)]
    if plain is None or isinstance(plain, bool | int):
        return plain
    if isinstance(plain, str):
        return sound_text(plain, where)
    return _read_number(plain, where)


_SCALARS: dict[Any, _Reader] = {
    str: _read_text,
    bool: _read_flag,
    int: _read_integer,
    float: _read_number,
    datetime: _read_time,
    type(None): _read_nothing,
    None: _read_nothing,
    Any: _read_free,
    object: _read_free,
}


def _enumeration(kind: type[Enum]) -> _Reader:
    words = {member.value: member for member in kind}

    def read(plain: Any, where: str) -> Enum:
        if isinstance(plain, bool) or not isinstance(plain, str | int) or plain not in words:
            raise _wrong(where, f"one of {', '.join(str(w) for w in words)}", plain)
        return words[plain]

    return read


def _container(kind: Any, origin: Any, arguments: tuple[Any, ...]) -> _Reader:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_reader(arguments[0]), _reader(arguments[1]))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _sequence(tuple, _reader(arguments[0]))
    if origin is tuple:
        return _row(tuple(_reader(a) for a in arguments))
    if origin is list or (isinstance(origin, type) and issubclass(origin, AbstractSet)):
        return _sequence(list if origin is list else frozenset, _reader(arguments[0]))
    raise Invalid(f"{kind} has no plain form")


def _mapping(key: _Reader, value: _Reader) -> _Reader:
    def read(plain: Any, where: str) -> dict[Any, Any]:
        if not isinstance(plain, Mapping):
            raise _wrong(where, "an object", plain)
        return {key(k, where): value(v, _within(where, k)) for k, v in plain.items()}

    return read


def _sequence(make: Any, item: _Reader) -> _Reader:
    def read(plain: Any, where: str) -> Any:
        if not isinstance(plain, list | tuple):
            raise _wrong(where, "a list", plain)
        return make(item(v, f"{where}[{i}]") for i, v in enumerate(plain))

    return read


def _row(items: tuple[_Reader, ...]) -> _Reader:
    def read(plain: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(plain, list | tuple) or len(plain) != len(items):
            raise _wrong(where, f"a list of {len(items)}", plain)
        return tuple(r(v, f"{where}[{i}]") for i, (r, v) in enumerate(zip(items, plain, strict=True)))

    return read


def _union(arguments: tuple[Any, ...]) -> _Reader:
    """Read ``X | None``, or a union of classes that are told apart by their verb."""
    nullable = type(None) in arguments
    kinds = [a for a in arguments if a is not type(None)]
    if len(kinds) == 1:
        only = _reader(kinds[0])
        return lambda plain, where: None if plain is None else only(plain, where)
    by_verb = {verb_of(k): _reader(k) for k in kinds if isinstance(k, type)}
    if None in by_verb or len(by_verb) != len(kinds):
        raise Invalid(f"the union of {', '.join(str(k) for k in kinds)} cannot be told apart")

    def read(plain: Any, where: str) -> Any:
        if plain is None and nullable:
            return None
        verb = plain.get(VERB) if isinstance(plain, Mapping) else None
        if not isinstance(verb, str) or verb not in by_verb:
            words = ", ".join(str(v) for v in by_verb)
            raise _wrong(where, f"an object whose {VERB} is one of {words}", verb or plain)
        return by_verb[verb](plain, where)

    return read


def verb_of(kind: type) -> str | None:
    """Return the verb of a class, None where it has none."""
    verb = getattr(kind, VERB, None)
    return verb if isinstance(verb, str) else None


def _object(kind: type) -> _Reader:
    hints = typing.get_type_hints(kind)
    readers = {f.name: _reader(hints[f.name]) for f in dataclasses.fields(kind) if f.init}
    required = {
        f.name
        for f in dataclasses.fields(kind)
        if f.init and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    verb = verb_of(kind)

    def read(plain: Any, where: str) -> Any:
        if not isinstance(plain, Mapping):
            raise _wrong(where, "an object", plain)
        members = dict(plain)
        if verb is not None and members.pop(VERB, verb) != verb:
            raise _wrong(f"{where}.{VERB}", verb, plain.get(VERB))
        if unknown := sorted(str(m) for m in members.keys() - readers.keys()):
            raise Invalid(f"{where}: unknown member {unknown[0][:60]!r}")
        if missing := sorted(required - members.keys()):
            raise Invalid(f"{where}: {missing[0]} is missing")
        return kind(**{name: readers[name](value, f"{where}.{name}") for name, value in members.items()})

    return read
