"""Tiers follow from answers, answers name what exists, and those about the kit agree with its results."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, has_test
from yamori.manifest import discovery
from yamori.manifest.driver import DriverManifest
from yamori.manifest.quality import RULES, Answers, Done, Exempt, Rule, Tier, Todo, open_rules, tier_of
from yamori.model.errors import Defect
from yamori.model.limits import LimitKind
from yamori.testing.conformance.effects import RATES
from yamori.testing.matrix.record import everything
from yamori.testing.matrix.standing import CLAIMED, ColumnName, MatrixColumn, Standing

ALL = {rule.name: Done(by=("tests/x.py",)) for rule in RULES}
MEASURED = {"power", "migration.live", *(f"limits.{kind}" for kind in (*RATES, LimitKind.MEMORY))}
"""What the kit has a measurement for."""


def cards() -> list[DriverManifest]:
    return [discovery.driver(name) for name in discovery.driver_names()]


SUBJECTS = [(card.name, hypervisor, answers) for card in cards() for hypervisor, answers in card.quality.items()]


def named(value: object) -> str | None:
    return value if isinstance(value, str) else ""


def without(*names: str, **answers: Done | Exempt | Todo) -> Answers:
    kept: dict[str, Done | Exempt | Todo] = {name: done for name, done in ALL.items() if name not in names}
    return kept | {name.replace("_", "-"): answer for name, answer in answers.items()}


def first(tier: Tier, *, waivable: bool = True) -> Rule:
    return next(rule for rule in RULES if rule.tier is tier and rule.waivable is waivable)


def test_who_answers_nothing_has_no_tier() -> None:
    assert tier_of({}) is None


def test_who_has_done_all_is_gold() -> None:
    assert tier_of(ALL) is Tier.GOLD


@pytest.mark.parametrize(
    ("tier", "left"), [(Tier.BRONZE, None), (Tier.SILVER, Tier.BRONZE), (Tier.GOLD, Tier.SILVER)]
)
def test_one_open_rule_keeps_a_driver_below_its_tier(tier: Tier, left: Tier | None) -> None:
    name = first(tier).name
    assert tier_of(without(name)) is left, "no answer is still to do"
    assert tier_of({**ALL, name: Todo(lacks="x")}) is left
    assert tier_of({**ALL, name: Exempt(reason="x")}) is Tier.GOLD
    assert [rule.name for rule in open_rules(without(name), Tier.GOLD)] == [name]


@pytest.mark.parametrize("tier", list(Tier))
def test_what_a_tier_stands_on_accepts_no_exemption(tier: Tier) -> None:
    rule = first(tier, waivable=False)
    assert open_rules({**ALL, rule.name: Exempt(reason="we are special")}, Tier.GOLD) == (rule,)


def test_an_answer_without_evidence_or_reason_is_a_defect() -> None:
    for make in (lambda: Done(by=()), lambda: Done(by=(" ",)), lambda: Exempt(reason=""), lambda: Todo(lacks=" ")):
        with pytest.raises(Defect):
            make()


def test_rules_have_one_name_each_and_say_what_they_ask() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name) and rule.asks.endswith(".") for rule in RULES)


def test_a_card_without_answers_is_complete() -> None:
    ours = cards()[0]
    stranger = DriverManifest(name="x", settings=ours.settings, connect=ours.connect, summary="x")
    assert not stranger.tiers


def test_our_drivers_answer_for_all_their_hypervisors() -> None:
    assert {name for name, _, _ in SUBJECTS} >= {"libvirt", "simulator"}


@pytest.mark.parametrize(("driver", "hypervisor", "answers"), SUBJECTS, ids=named)
def test_what_a_driver_names_exists(driver: str, hypervisor: str, answers: Answers) -> None:
    assert_answers(answers, "")


def assert_answers(answers: Answers, folder: str) -> None:
    assert set(answers) <= {rule.name for rule in RULES}
    references = [f"{folder}{each}" for a in answers.values() if isinstance(a, Done) for each in a.by]
    assert not [each for each in references if not (has_test(each) if ".py" in each else (ROOT / each).is_file())]
    kinds = re.compile(rf"{folder}(tests/.*\.py(::\w+)*|docs/.*\.md|README\.md|scripts/\w+\.sh)")
    assert not [each for each in references if not kinds.fullmatch(each)]


@pytest.fixture
def toybox(monkeypatch: pytest.MonkeyPatch) -> Iterator[DriverManifest]:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "yamori-driver-example" / "src"))
    yield importlib.import_module("yamori_toybox").DRIVER
    for name in [name for name in sys.modules if name.partition(".")[0] == "yamori_toybox"]:
        del sys.modules[name]


def test_what_a_stranger_names_exists_in_its_own_repository(toybox: DriverManifest) -> None:
    for answers in toybox.quality.values():
        assert_answers(answers, "examples/yamori-driver-example/")
    assert dict(toybox.tiers) == {"Toybox": None}


@pytest.fixture(scope="module")
def matrix() -> Mapping[ColumnName, MatrixColumn]:
    return {column.name: column for column in everything(sorted(Path(ROOT / "results").glob("*.json")))}


@pytest.mark.parametrize(("driver", "hypervisor", "answers"), SUBJECTS, ids=named)
def test_answers_about_the_kit_agree_with_its_results(
    driver: str, hypervisor: str, answers: Answers, matrix: Mapping[ColumnName, MatrixColumn]
) -> None:
    columns = [column for name, column in matrix.items() if (name.driver, name.hypervisor) == (driver, hypervisor)]
    if isinstance(answers.get("conformance-kit"), Done):
        assert columns, "the kit has never run"
        assert all(column.last_good is not None for column in columns)
        assert not [row for c in columns for row, cell in c.cells.items() if cell.standing is Standing.FAILS]
    if isinstance(answers.get("proven-by-effect"), Done):
        claimed = [(row, c.cells[row].standing) for c in columns for row in MEASURED]
        assert claimed
        assert {how for _, how in claimed if how in CLAIMED} == {Standing.EFFECT}, claimed
