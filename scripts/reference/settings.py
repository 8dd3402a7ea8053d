"""Pages of settings, from pydantic models: fleet.yaml with every installed driver and module."""

import enum
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.reference.markdown import first_line, remark, table
from yamori.control.settings import FleetSettings

OURS = "yamori."
FLEET = """# fleet.yaml

The file that `yamori up --config fleet.yaml` reads. A key that is not listed here is an error: nothing is ignored
in silence. How to write one: [own hosts](../how-to/own-hosts.md).

```yaml
endpoints:
  - name: rack1-a
    driver: libvirt
    uri: qemu+ssh://yamori@rack1-a.example.net/system
modules:
  guard: {}
tick_s: 1
```

## The file

"""


def fleet_page() -> str:
    """Control's part, each driver's and each module's. Only those that come with Yamori itself."""
    text = FLEET + settings_table(FleetSettings)
    for group, what, where in (
        ("yamori.drivers", "Driver", "Beside `name` and `driver` in an endpoint."),
        ("yamori.modules", "Module", "Under `modules`, by the module's name."),
    ):
        for entry in sorted(entry_points(group=group)):
            if not entry.value.startswith(OURS):
                continue
            manifest = entry.load()
            text += f"\n## {what} `{manifest.name}`\n\n{manifest.summary}\n\n{where}\n\n"
            text += settings_table(manifest.settings) if manifest.settings.model_fields else "No settings.\n"
    return text


def settings_table(model: type[BaseModel]) -> str:
    """One table of a model's settings, those of nested models spelt with dots."""
    return table(("setting", "type", "default", "meaning"), settings_rows(model, ""))


def settings_rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Rows of settings_table."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = list(dict.fromkeys(models_within(field.annotation)))
        meaning = field.description or remark(model, name) or (first_line(inner[0]) if inner else "")
        yield f"`{key}`", type_words(field.annotation), default_words(field), meaning
        for nested in inner:
            if nested is not model:
                yield from settings_rows(nested, key + steps_into(field.annotation))


def steps_into(annotation: Any) -> str:
    """How a path goes on below a setting of this type."""
    origin = typing.get_origin(annotation)
    if origin in {list, tuple}:
        return "[]."
    return ".*." if inspect.isclass(origin) and issubclass(origin, Mapping) else "."


def models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a type mentions."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_within(argument)


def type_words(annotation: Any) -> str:
    """A type as an operator would say it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_words(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(type_words(a) for a in arguments if a is not types.NoneType)
    if origin in {list, tuple, set, frozenset}:
        return f"list of {type_words(arguments[0])}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"map from {type_words(arguments[0])} to {type_words(arguments[1])}"
    return class_words(annotation)


def class_words(annotation: Any) -> str:
    """A plain class in words."""
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{m.value}`" for m in annotation)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "settings"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true`, `false`",
        Any: "anything",
        Path: "path",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default_words(field: FieldInfo) -> str:
    """What holds when nothing is said; empty where that is simply nothing."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, tuple | list):
        return f"`[{', '.join(str(getattr(v, 'value', v)) for v in value)}]`" if value else ""
    if value is None or isinstance(value, BaseModel) or value == {}:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, enum.Enum) else value}`"
