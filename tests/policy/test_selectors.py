"""Selectors: yes, no, and unknown."""

import pytest

from tests.policy.situations import host, vm
from yamori.policy.document import load
from yamori.policy.selectors import Selector


def answer(text: str, *, at: str | None = "h1", **labels: str) -> bool | None:
    place = None if at is None else host()
    return load(text, Selector, "s").matches(vm(host=at, **labels), place)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", True),
        ("name: 'vm-*'", True),
        ("name: [x, vm-a]", True),
        ("name: vm", False),
        ("sla: gold", True),
        ("sla: [silver, bronze]", False),
        ("tenant: acme", False),
        ("label: {tier: 'w?b'}", True),
        ("label: {tier: web, sla: silver}", False),
        ("label: {nowhere: '*'}", False),
        ("site: north", True),
        ("host: [h1, h2]", True),
        ("{sla: gold, name: x}", False),
        ("not: {sla: gold}", False),
        ("not: {tenant: acme}", True),
        ("any: [{sla: bronze}, {name: 'vm-*'}]", True),
        ("any: [{sla: bronze}, {name: x}]", False),
        ("all: [{sla: gold}, {name: x}]", False),
        ("not: {not: {sla: gold}}", True),
        ("{any: [{sla: gold}], not: {label: {tier: web}}}", False),
    ],
)
def test_keys_are_and_values_are_or_and_parts_compose(text: str, *, expected: bool) -> None:
    assert answer(text, sla="gold", tier="web") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host: h1", None),
        ("site: north", None),
        ("not: {site: north}", None),
        ("{site: north, sla: bronze}", False),
        ("any: [{site: north}, {sla: gold}]", True),
        ("any: [{site: north}, {sla: bronze}]", None),
        ("all: [{site: north}, {sla: gold}]", None),
    ],
)
def test_where_a_place_is_not_known_the_answer_is_unknown_unless_it_cannot_matter(
    text: str, expected: bool | None
) -> None:
    assert answer(text, at=None, sla="gold") is expected


def test_of_a_vm_that_is_not_known_nothing_is_known() -> None:
    assert load("sla: gold", Selector, "s").matches(None, None) is None
    assert load("{}", Selector, "s").matches(None, None) is True
