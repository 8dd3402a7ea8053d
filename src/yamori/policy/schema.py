"""The JSON Schema of a policy file, for editors and for checks outside Yamori."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from yamori.policy.rules import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Return the schema of the files that ``model`` reads."""
    schema = _without_null(model.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": DIALECT, **schema, "title": title}


def _without_null(schema: Any) -> Any:
    """Leave out the choice of null: an absent key says it, and an empty one is an error."""
    if isinstance(schema, list):
        return [_without_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(part) for key, part in schema.items() if not (key == "default" and part is None)}
    choices = kept.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del kept["anyOf"]
        kept.update(rest[0] if len(rest) == 1 else {"anyOf": rest})
    return kept


def policy_schema() -> dict[str, Any]:
    """Return the schema of policy files (JSON Schema 2020-12)."""
    return schema_of(Policy, "Yamori policy")
