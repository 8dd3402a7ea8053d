"""Which keys a pydantic model knows at a place, for "did you mean"."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def keys_at(model: type[BaseModel], at: Sequence[str | int]) -> list[str]:
    """Return the keys that the model takes at a place in the document, in the order in which it declares them."""
    kinds: list[Any] = [model]
    for step in at:
        deeper = [kind for each in kinds for kind in _step(each, step)]
        kinds = deeper or kinds  # a word that is no key names a member of a union: stay
    keys: dict[str, None] = {}
    for kind in kinds:
        for member in _members(kind):
            if isinstance(member, type) and issubclass(member, BaseModel):
                keys.update(dict.fromkeys(field.alias or name for name, field in member.model_fields.items()))
    return list(keys)


def _members(kind: Any) -> Iterable[Any]:
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _members(get_args(kind)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _step(kind: Any, step: str | int) -> Iterable[Any]:
    for member in _members(kind):
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                if step == (field.alias or name):
                    yield field.annotation
            continue
        arguments = [a for a in get_args(member) if a is not Ellipsis]
        if not arguments:
            continue
        if isinstance(step, int) or len(arguments) > 1:
            yield arguments[-1]
