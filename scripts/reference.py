"""Write docs/reference/*.md from the code: errors, settings, capabilities, verbs, routes, commands.

`make docs` writes them; a test runs the same with --check and fails when a page has fallen behind.
"""

import argparse
import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from yamori.capabilities.session import Acting, Sensing
from yamori.control.settings import FleetSettings
from yamori.model import errors
from yamori.model.actions import VERBS
from yamori.model.limits import UNITS, LimitKind
from yamori.model.sla import Objective
from yamori.model.support import FEATURES
from yamori.web import errors as web_errors
from yamori.web.api.table import ROUTES

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code. Do not edit by hand. -->\n"


def first_line(thing: Any) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def table(head: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    lines += [f"| {' | '.join(cell(c) for c in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def tree(root: type[errors.YamoriError]) -> Iterator[type[errors.YamoriError]]:
    """A class and all below it, in the order of the source."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ in {errors.__name__, web_errors.__name__}:
            yield from tree(child)


def errors_page() -> str:
    kinds = {
        errors.Refused: "Cannot be done as asked; nothing was changed. You change the request.",
        errors.Failed: "The world did not obey; something may have changed. Yamori retries or undoes, or you look.",
        errors.Untrusted: "A proof did not hold. Stop, keep the evidence, never retry.",
        errors.Defect: "A broken assumption in Yamori itself. Please report it.",
    }
    text = (
        "# Errors\n\n"
        "Every error has a stable code. Over HTTP it is `{\"error\": {\"code\", \"message\", \"subject\", \"mend\"}}` with the\n"
        "status below; on the command line it is one line, with `--json` the same object. *Transient* means that the\n"
        "same request may succeed later.\n"
    )
    for kind, who in kinds.items():
        rows = (
            (
                f"`{error.code}`",
                first_line(error),
                "yes" if error.transient else "",
                str(web_errors.status_of(error)),
            )
            for error in tree(kind)
        )
        text += f"\n## {kind.__name__}\n\n{who}\n\n" + table(("code", "meaning", "transient", "HTTP"), rows)
    return text


def type_words(annotation: Any) -> str:
    """A type as an operator would say it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_words(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(type_words(a) for a in arguments if a is not types.NoneType)
    if origin in {list, tuple, set, frozenset, typing.Sequence}:
        return f"list of {type_words(arguments[0])}" if arguments else "list"
    if origin is not None and issubclass(origin, Mapping):
        return f"map from {type_words(arguments[0])} to {type_words(arguments[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{m.value}`" for m in annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything", Path: "path"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default_words(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or isinstance(value, BaseModel) or value is None:
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list | set | frozenset):
        return f"`[{', '.join(sorted(str(getattr(v, 'value', v)) for v in value))}]`" if value else ""
    return f"`{value}`" if value != {} else ""


def models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_within(argument)


def settings_tables(model: type[BaseModel], prefix: str = "") -> str:
    """One table of a model's settings, nested models spelt with dots."""
    return table(("setting", "type", "default", "meaning"), settings_rows(model, prefix))


def settings_rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = list(dict.fromkeys(models_within(field.annotation)))
        kind = "settings" if inner else type_words(field.annotation)
        many = typing.get_origin(field.annotation) in {list, tuple}
        mapped = typing.get_origin(field.annotation) in {dict, Mapping}
        kind = f"list of {kind}" if inner and many else kind
        kind = f"map to {kind}" if inner and mapped else kind
        yield f"`{key}`", kind, default_words(field), field.description or first_line(inner[0] if inner else field)
        for nested in inner:
            yield from settings_rows(nested, f"{key}[]." if many else f"{key}.*." if mapped else f"{key}.")


def fleet_page() -> str:
    text = (
        "# fleet.yaml\n\n"
        "The file that `yamori up --config fleet.yaml` reads. A key that is not listed here is an error: nothing is\n"
        "ignored in silence. How to write one: [own hosts](../how-to/own-hosts.md).\n\n"
        "```yaml\n"
        "endpoints:\n"
        "  - name: rack1-a\n"
        "    driver: libvirt\n"
        "    uri: qemu+ssh://yamori@rack1-a.example.net/system\n"
        "modules:\n"
        "  guard: {}\n"
        "tick_s: 1\n"
        "```\n\n"
        "## The file\n\n" + settings_tables(FleetSettings)
    )
    for group, what, where in (
        ("yamori.drivers", "Driver", "Beside `name` and `driver` in an endpoint."),
        ("yamori.modules", "Module", "Under `modules`, by the module's name."),
    ):
        for entry in sorted(entry_points(group=group)):
            manifest = entry.load()
            text += f"\n## {what} `{manifest.name}`\n\n{manifest.summary} {where}\n\n"
            text += settings_tables(manifest.settings) if manifest.settings.model_fields else "No settings.\n"
    return text


def capabilities_page() -> str:
    import dataclasses

    def rows(side: type) -> Iterator[tuple[str, str, str]]:
        hints = typing.get_type_hints(side)
        for field in dataclasses.fields(side):
            protocol = next(a for a in (*typing.get_args(hints[field.name]), hints[field.name]) if inspect.isclass(a))
            module = sys.modules[protocol.__module__]
            yield f"`{field.name}`", first_line(module), ", ".join(
                f"`{name}`" for name, member in vars(protocol).items() if inspect.isfunction(member) and name[0] != "_"
            )

    verbs = (
        (
            f"`{verb}`",
            first_line(action),
            ", ".join(sorted(action.effects)),
            ", ".join(sorted(action.rights)),
            action.undone_by or "",
        )
        for verb, action in VERBS.items()
    )
    return (
        "# Capabilities and verbs\n\n"
        "What a hypervisor can do, as a closed set. What a host lacks is absent there and the matrix says why\n"
        "([support matrix](../support-matrix.md)).\n\n"
        "## Sensing: reads, changes nothing\n\n" + table(("capability", "what it is", "calls"), rows(Sensing)) +
        "\n## Acting: only through an approved run\n\n" + table(("capability", "what it is", "calls"), rows(Acting)) +
        "\n## Rows of the support matrix\n\n" + "".join(f"- `{feature}`\n" for feature in FEATURES) +
        "\n## Verbs: what may be asked for\n\n" + table(("verb", "meaning", "effects", "rights", "undone by"), verbs) +
        "\n## Limits: what may be bounded\n\n" +
        table(("limit", "unit", "meaning"), ((f"`{k}`", UNITS[k], remark(LimitKind, k.name)) for k in LimitKind)) +
        "\n## Objectives: what a guest is owed\n\n" +
        table(("objective", "meaning"), ((f"`{o}`", remark(Objective, o.name)) for o in Objective))
    )


def remark(owner: type, name: str) -> str:
    """The docstring that stands under a member in the source."""
    import ast
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                return " ".join(str(following.value.value).split())
    return ""


def api_page() -> str:
    rows = (
        (f"`{route.method} {route.full_path}`", f"`{route.right.value}`", route.summary)
        for route in ROUTES.values()
    )
    return (
        "# REST interface\n\n"
        "Every route but `health` needs the header `Authorization: Bearer TOKEN`; the token of a running service is\n"
        "in a file that only its user can read. `GET /api/v1/openapi.json` describes bodies and answers in full.\n"
        "Errors: [errors](errors.md).\n\n" + table(("route", "right", "what it does"), rows)
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "fleet.md": fleet_page,
    "capabilities.md": capabilities_page,
    "api.md": api_page,
}


def behind() -> list[str]:
    """Names of the pages that are not what the code says."""
    return [
        name
        for name, write in PAGES.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != NOTE + write()
    ]


def main() -> int:
    """Write the pages, or with --check only say which have fallen behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        stale = behind()
        for name in stale:
            print(f"docs/reference/{name} has fallen behind: make docs", file=sys.stderr)
        return bool(stale)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(NOTE + write(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
