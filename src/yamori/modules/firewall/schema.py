"""The JSON Schema of a groups document, for editors and for checks outside Yamori."""

from typing import Any

from yamori.modules.firewall.groups import Firewall
from yamori.policy.schema import schema_of


def groups_schema() -> dict[str, Any]:
    """Return the schema of groups documents (JSON Schema 2020-12)."""
    return schema_of(Firewall, "Yamori firewall groups")
