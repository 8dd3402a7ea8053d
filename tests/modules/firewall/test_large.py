"""Documents too large for YAML come as JSON: quickly where they are sound, exactly where they are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.model.errors import Invalid
from yamori.modules.firewall.jsonnodes import read_nodes
from yamori.modules.firewall.largejson import quick_nodes
from yamori.modules.firewall.reading import Groups, read_groups
from yamori.policy.nodes import MAX_BYTES, Mark

VALUES = st.recursive(
    st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8) | st.none() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def large(rule: str = "", number: int = 777) -> str:
    rules = [
        f'{{"id": "r{n}", "from": "any", "to": "web", "services": "tcp/{n % 60_000}"}}' for n in range(20_000)
    ]
    if rule:
        rules[number] = rule
    text = (
        '{"version": 1,\n"groups": {"web": {"select": {"name": "rules"}}},\n"rules": [\n'
        + ",\n".join(rules)
        + "]}\n"
    )
    assert len(text) > MAX_BYTES
    return text


@given(VALUES, st.sampled_from([None, 1]))
def test_the_exact_reader_reads_what_json_says(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert read_nodes(text, "x").plain() == json.loads(text)
    assert read_nodes(json.dumps(value, ensure_ascii=False).encode(), "x").plain() == json.loads(text)


@given(st.text(alphabet='{}[]:,"a1 \n\\-.e', max_size=30))
def test_the_exact_reader_takes_exactly_what_json_is(text: str) -> None:
    try:
        pairs: list[bool] = []
        wanted = json.loads(text, object_pairs_hook=lambda p: (pairs.append(len(dict(p)) == len(p)), dict(p))[1])
    except ValueError:
        with pytest.raises(Invalid, match=r"^x:\d+:\d+: "):
            read_nodes(text, "x")
        return
    if all(pairs):
        assert read_nodes(text, "x").plain() == wanted
    else:
        with pytest.raises(Invalid, match="was given already on line"):
            read_nodes(text, "x")


def test_a_large_document_is_read_and_each_rule_has_its_place() -> None:
    text = large()
    groups: Groups = read_groups(text, "big.json")
    assert len(groups.firewall.rules) == 20_000
    exact = read_nodes(text, "x").content["rules"][1].content
    for number in (0, 1, 777, 19_999):
        assert groups.place("rules", number) == exact[number].mark == Mark(number + 4, 1)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('{"id": "x", "from": "any", "to": "wbe", "services": "any"}', r":781:34: rules\[777\].to\[0\]: no group"),
        ('{"id": "x", "id": "y"}', r":781:13: key 'id' was given already on line 781"),
        ('{"id": "x", "from": null, "to": "web", "services": "any"}', r":781:21: rules\[777\].from: has no value"),
        ('{"id": "x", "from": NaN}', r":781:21: this is not JSON"),
        ('{"id": "\\ud800"}', r":781:8: half of a surrogate pair"),
        ("[" * 40 + "]" * 40, r":781:\d+: nested deeper"),
    ],
)
def test_what_is_wrong_in_a_large_document_is_said_with_its_place(rule: str, said: str) -> None:
    with pytest.raises(Invalid, match=rf"big\.json{said}"):
        read_groups(large(rule), "big.json")
    with pytest.raises(Invalid, match=rf"big\.json{said}"):
        read_groups(large(rule).encode("utf-8", "surrogatepass"), "big.json")


def test_a_name_within_a_value_is_not_taken_for_the_list_of_rules() -> None:
    text = '{"a": {"rules": [1, 2]}, "b": "\\"rules\\": [", "rules": [{"id": 1},\n {"id": 2}]}'
    nodes = quick_nodes(text)
    assert nodes is not None
    assert [node.mark for node in nodes.content["rules"][1].content] == [
        Mark(1, text.index('{"id": 1}') + 1),
        Mark(2, 2),
    ]
    assert nodes.plain() == json.loads(text)


def test_large_yaml_is_refused_at_once_with_how_to_mend_it() -> None:
    with pytest.raises(Invalid, match=r"^x:1:1: YAML of more than .* \(write it as JSON"):
        read_groups("version: 1\n" + "# \n" * MAX_BYTES, "x")
