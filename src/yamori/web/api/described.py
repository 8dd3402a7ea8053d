"""The interface described: OpenAPI 3.1 and a page for people, both out of the table of routes."""

import re
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import create_model

from yamori.web.api.table import ROUTES, Right, Route
from yamori.web.errors import kinds, status_of

ABOUT = (
    "Hypervisor-neutral security for fleets of VMs. Every error has the shape "
    '{"error": {"code", "message", "subject", "mend"}}. Times are RFC 3339 in UTC, durations seconds, sizes '
    "bytes; null means unknown, never zero."
)


def schema_of(route: Route) -> Any:
    """Return the type of a route's whole answer."""
    if not route.many:
        return route.answers
    members: dict[str, Any] = {"items": (list[route.answers], ...)}  # type: ignore[name-defined]
    if route.name == "vms":
        members |= {"total": (int, ...), "next": (int | None, ...)}
    return create_model(f"{route.name.title()}Page", __doc__=None, **members)


def described(app: FastAPI) -> Mapping[str, Any]:
    """Describe the interface in OpenAPI 3.1."""
    found = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=ABOUT, routes=app.routes
    )
    found["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "The content of api-token in the state directory.",
        }
    }
    for route in ROUTES.values():
        told = found["paths"][route.full_path][route.method.lower()]
        told["security"] = [] if route.right is Right.NOBODY else [{"token": []}]
        told["x-right"] = route.right.value
        told["x-writes"] = route.writes
    events = found["paths"][ROUTES["events"].full_path]["get"]["responses"]["200"]
    events["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return cast("Mapping[str, Any]", _untitled(found))


def _untitled(value: Any, *, is_names: bool = False) -> Any:
    """Drop the titles that are made up from names: they say nothing, and differ between library versions."""
    if isinstance(value, list):
        return [_untitled(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: _untitled(v, is_names=k == "properties")
        for k, v in value.items()
        if is_names or k != "title" or not isinstance(v, str) or "openapi" in value or "version" in value
    }


def page(app: FastAPI) -> str:
    """Write the reference page in Markdown."""
    paths = described(app)["paths"]
    lines = [HEAD, "| Method | Path | Right | |", "|---|---|---|---|"]
    lines += [
        f"| {r.method} | [`{r.full_path}`](#{_anchor(r)}) | `{r.right}` | {r.summary} |" for r in ROUTES.values()
    ]
    for route in ROUTES.values():
        lines += _section(route, paths[route.full_path][route.method.lower()])
    lines += [ERRORS, "| Code | Status | Meaning |", "|---|---|---|"]
    for kind in sorted(set(kinds()), key=lambda k: (status_of(k), k.code)):
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        if kind.__module__ in ("yamori.model.errors", "yamori.web.errors") and kind.code != "error":
            lines.append(f"| `{kind.code}` | {status_of(kind)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _anchor(route: Route) -> str:
    return re.sub(r"[^a-z0-9 -]", "", f"{route.method} {route.full_path}".lower()).replace(" ", "-")


def _section(route: Route, told: Mapping[str, Any]) -> list[str]:
    lines = ["", f"## {route.method} {route.full_path}", "", route.summary]
    if "``" in told.get("description", ""):  # the sentence that explains parameters
        lines += ["", told["description"]]
    rows = [
        p for p in told.get("parameters", ()) if p["name"] not in {"vm", "run", "finding"} or p["in"] != "path"
    ]
    if rows:
        lines += ["", "| Parameter | In | |", "|---|---|---|"]
        lines += [f"| `{p['name']}` | {p['in']} | {_bounds(p['schema'])} |" for p in rows]
    if "requestBody" in told:
        lines += ["", "Body: " + _type(told["requestBody"]["content"]["application/json"]["schema"])]
    answer = told["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    if answer and route.name != "events":
        lines += ["", "Answer: " + _type(answer)]
    return lines


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_type(s) for s in schema["anyOf"])
    return str(schema.get("type", "any"))


def _bounds(schema: Mapping[str, Any]) -> str:
    words = [_type(schema)]
    for key, word in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("maxLength", "up to"),
    ):
        if key in schema:
            words.append(f"{word} {schema[key]}" + (" characters" if key == "maxLength" else ""))
    if schema.get("default") not in (None, ""):
        words.append(f"(default {str(schema['default']).lower()})")
    return " ".join(words)


HEAD = """# REST interface

Generated from the table of routes (`yamori.web.api.table`); the full schema is in [openapi.json](openapi.json).

Every request carries `Authorization: Bearer TOKEN`, where TOKEN is the content of the file `api-token` in the
state directory. The only route without is `health`. A browser that has logged in at the console uses a cookie
together with the header `X-Yamori-Key` instead. A wrong token is answered slowly; the right one is
never locked out.

Requests are refused that come under another host name than the service's own, from a page of another origin, with
a body above 64 KiB or an address above 4096 characters.

A POST may carry `Idempotency-Key`: the same request with the same key within a day is done once, and answered the
same each time. Acting routes never act by themselves: policy rules, and the answer holds the `decision` and the
`run`, which is null where policy did not allow it. With `dry_run` the run ends after its check.

Lists answer `{"items": [...]}`. `null` means unknown. Metrics for Prometheus are at `/metrics`, with the same
token.
"""

ERRORS = """
## Errors

Every error, on every route, has one shape: `{"error": {"code", "message", "subject", "mend"}}`. The code is
stable.
"""
