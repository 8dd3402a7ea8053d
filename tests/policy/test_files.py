"""The files that are shipped: default, examples, schema, page."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.policy.situations import facts, migrate, proposal, release
from yamori.model.errors import Invalid
from yamori.policy.check import warnings
from yamori.policy.decide import decide
from yamori.policy.reading import default_text, read_policy, read_with_places
from yamori.policy.rules import Policy
from yamori.policy.schema import policy_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "policies").glob("*.yaml"))


def plain(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_example_is_right_by_model_and_by_schema_and_warns_of_nothing_but_observing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    document, policy = read_with_places(text, path.name)
    jsonschema.validate(plain(text), policy_schema())
    told = warnings(document, policy)
    assert [w for w in told if "modules only observe" not in w] == []


def test_the_example_named_observe_and_the_default_enforce_nothing() -> None:
    for text in (default_text(), (ROOT / "examples/policies/observe.yaml").read_text(encoding="utf-8")):
        assert {rule.mode for rule in read_policy(text, "x").rules} == {"observe"}


def test_the_labs_policy_holds_bronze_and_silver_and_moves_gold() -> None:
    lab = read_policy((ROOT / "examples/policies/lab.yaml").read_text(encoding="utf-8"), "lab.yaml")
    verdicts = {
        (sla, action.verb): decide(proposal(action), facts(sla), lab).verdict.value
        for sla in ("gold", "silver", "bronze")
        for action in (proposal().action, migrate(), release())
    }
    assert verdicts == {
        ("gold", "throttle"): "observe_only",
        ("gold", "migrate"): "allow",
        ("gold", "release"): "observe_only",
        ("silver", "throttle"): "allow",
        ("silver", "migrate"): "observe_only",
        ("silver", "release"): "allow",
        ("bronze", "throttle"): "allow",
        ("bronze", "migrate"): "observe_only",
        ("bronze", "release"): "allow",
    }


def test_the_published_schema_is_the_models() -> None:
    published = json.loads((ROOT / "docs/reference/policy.schema.json").read_text(encoding="utf-8"))
    assert published == policy_schema(), "write it anew: yamori policy schema > docs/reference/policy.schema.json"


@pytest.mark.parametrize(
    "text",
    [
        "version: 2",
        "{version: 1, rulez: []}",
        "{version: 1, rules: [{id: a}]}",
        "{version: 1, rules: [{id: a, decision: maybe}]}",
        "{version: 1, rules: [{id: a, decision: allow, expires: 5}]}",
        "{version: 1, rules: [{id: a, decision: allow, when: {vm: }}]}",
        "{version: 1, rules: [{id: a, decision: allow, when: {verb: explode}}]}",
        "{version: 1, longest: 10 parsecs}",
        "{version: 1, brakes: {every: {at_once: {fleet: -1}}}}",
    ],
)
def test_schema_and_model_refuse_the_same(text: str) -> None:
    with pytest.raises(Invalid):
        read_policy(text, "p")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain(text), policy_schema())


def test_the_page_names_every_key_and_its_examples_are_right() -> None:
    page = (ROOT / "docs/reference/policy.md").read_text(encoding="utf-8")
    schema = policy_schema()
    parts = [schema, *schema["$defs"].values()]
    keys = {key for part in parts for key in part.get("properties", {})}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    examples = re.findall(r"```yaml\n(version: .*?)```", page, flags=re.DOTALL)
    assert examples
    for text in examples:
        assert isinstance(read_policy(text, "policy.md"), Policy)
