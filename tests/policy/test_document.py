"""Texts that people write: every mistake is found at its place, nothing hostile gets through."""

from enum import StrEnum
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from yamori.model.errors import Invalid
from yamori.policy.document import load, parse
from yamori.policy.nodes import MAX_BYTES, MAX_DEPTH


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    colour: Colour = Colour.RED
    number: int = 1


class Fleet(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    endpoints: tuple[Entry, ...] = ()
    named: dict[str, Entry] = {}
    ratio: float | None = None


def refused(text: str | bytes, source: str = "f.yaml") -> str:
    with pytest.raises(Invalid) as caught:
        load(text, Fleet, source)
    return str(caught.value)


def test_a_right_text_becomes_a_model() -> None:
    fleet = load("version: 1\nendpoints:\n- {name: a, colour: blue}\nratio: 0.5 # half\n", Fleet, "f.yaml")
    assert fleet.endpoints == (Entry(name="a", colour=Colour.BLUE),)
    assert fleet.ratio == 0.5


def test_several_errors_are_told_at_once_each_on_one_line_with_its_place() -> None:
    text = "endpoints:\n- name: a\n  color: red\n- name: 5\n  colour: bleu\n  number: '7'\nnamed: {x: {nme: q}}\n"
    assert refused(text).splitlines() == [
        "f.yaml:1:1: version: is missing",
        "f.yaml:3:3: endpoints[0].color: unknown key 'color' (did you mean 'colour'?)",
        "f.yaml:4:9: endpoints[1].name: must be text, not 5",
        "f.yaml:5:11: endpoints[1].colour: 'bleu' is not one of red, blue (did you mean 'blue'?)",
        "f.yaml:6:11: endpoints[1].number: must be a whole number, not '7'",
        "f.yaml:7:9: named.x.name: is missing",
        "f.yaml:7:13: named.x.nme: unknown key 'nme' (did you mean 'name'?)",
    ]


def test_a_key_far_from_any_known_one_is_answered_with_the_known_ones() -> None:
    assert "known here: version, endpoints, named, ratio" in refused("version: 1\nqqqqq: 2\n")


def test_more_than_twenty_errors_are_cut_and_counted() -> None:
    lines = refused("version: 1\nendpoints:\n" + "- {}\n" * 50).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "f.yaml: and 30 more errors"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nversion: 2\n", "f.yaml:2:1: key 'version' was given already on line 1"),
        ("a: b: c\n", "f.yaml:1:5: this is not YAML"),
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- 1\n", "must be a mapping"),
        ("just text", "must be a mapping"),
        ("a: !!python/object:os.system x\n", "YAML tags are not taken"),
        ("a: !secret x\n", "YAML tags are not taken"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "merge keys (<<) are not taken"),
        ("a: &x [*x]\n", "alias *x points to nothing complete"),
        ("a: *nowhere\n", "alias *nowhere points to nothing complete"),
        ("? [a]\n: b\n", "a key must be text"),
        ("a: 1\n---\nb: 2\n", "a second document begins here"),
        ("version: .nan\n", "'.nan' is no number that can be used"),
        ("ratio: 1e999\n", "this number is too large"),
        ("a: \x00\n", "this is not YAML"),
        ("a:\n\t- b\n", "this is not YAML"),
        (b"a: \xff\n", "f.yaml:1:4: this is not UTF-8 text"),
        (b"ok: 1\nab\xff: 1\n", "f.yaml:2:3: this is not UTF-8 text"),
        ("{" + "a: {" * 100, f"nested deeper than {MAX_DEPTH} levels"),
        ("[" * 200_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("- " * 60_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a" * (MAX_BYTES + 1), "is larger than"),
        (b"a" * (MAX_BYTES + 1), "is larger than"),
        ("%YAML 9.9\n---\na: 1\n", "f.yaml:"),
        ("version: " + "9" * 400, "must be a whole number"),
    ],
)
def test_what_is_no_plain_bounded_data_is_refused_at_its_place(text: str | bytes, words: str) -> None:
    assert words in refused(text)


def test_a_billion_laughs_are_refused_before_they_are_laughed() -> None:
    text = "a: &a [" + ",".join(["x"] * 10) + "]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        text += f"{name}: &{name} [" + ",".join([f"*{before}"] * 10) + "]\n"
    assert "after aliases are expanded" in refused(text)


def test_depth_made_by_aliases_is_bounded_too() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))
    assert "nested deeper than" in refused(text)


def test_an_alias_used_within_bounds_is_a_copy() -> None:
    fleet = load("version: 1\nendpoints: [&e {name: a}, *e]\n", Fleet, "f.yaml")
    assert [e.name for e in fleet.endpoints] == ["a", "a"]


def test_words_that_older_yaml_took_for_booleans_and_dates_stay_text() -> None:
    assert parse("a: yes\nb: on\nc: 2026-01-02\nd: 12:30:00\ne: 010\nf: 0x10\n", "f").value == {
        "a": "yes",
        "b": "on",
        "c": "2026-01-02",
        "d": "12:30:00",
        "e": 10,
        "f": "0x10",
    }


def test_quoted_numbers_stay_text_and_keys_are_text() -> None:
    assert parse("5: '5'\ntrue: \"true\"\n~: ~\n", "f").value == {"5": "5", "true": "true", "~": None}


def test_no_control_character_of_the_file_reaches_the_message() -> None:
    message = refused(
        'version: 1\n"\\e[2Jboo\\n": 1\nendpoints: [{name: x, colour: "\\u202Ered"}]\n', "a\x1b]b.yaml"
    )
    assert all(line.isprintable() for line in message.splitlines())
    assert len(message.splitlines()) == 2


def test_the_mark_of_a_missing_path_is_the_nearest_thing_that_is_there() -> None:
    document = parse("endpoints:\n- {name: a}\n", "f.yaml")
    assert document.line(("endpoints", 0, "uri"), "is missing").startswith("f.yaml:2:3: ")
    assert document.line((), "is odd") == "f.yaml:1:1: is odd"


def test_a_misspelt_key_inside_a_mapping_or_a_choice_is_answered_with_the_right_one() -> None:
    class Choice(BaseModel):
        model_config = ConfigDict(extra="forbid")
        entry: Entry | None = None
        either: tuple[int, ...] | Entry | None = None

    with pytest.raises(Invalid) as caught:
        load("entry: {nmae: x}\neither: {nmae: x}\n", Choice, "f")
    assert str(caught.value).count("did you mean 'name'?") == 2


def test_a_list_whose_entries_are_wrong_is_not_called_empty_too() -> None:
    class Listed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        entries: Annotated[tuple[Entry, ...], Field(min_length=1)]

    with pytest.raises(Invalid) as caught:
        load("entries: [{nmae: x}]\n", Listed, "f")
    assert "entries or more" not in str(caught.value)
    with pytest.raises(Invalid, match="needs 1 entries or more"):
        load("entries: []\n", Listed, "f")


def test_a_choice_behind_an_annotation_is_looked_into_and_other_words_of_the_checker_are_passed_on() -> None:
    class Deep(BaseModel):
        model_config = ConfigDict(extra="forbid")
        entries: dict[str, Annotated[Entry, Field()]] = {}
        size: Annotated[int, Field(multiple_of=5)] = 5

    with pytest.raises(Invalid) as caught:
        load("entries: {a: {nmae: x}}\nsize: 7\n", Deep, "f")
    assert "did you mean 'name'?" in str(caught.value)
    assert "f:2:7: size: input should be a multiple of 5, not 7" in str(caught.value)


def test_a_part_can_be_validated_without_keys_that_belong_to_somebody_else() -> None:
    document = parse("endpoints:\n- {driver: x, name: a, number: bad}\n", "f.yaml")
    with pytest.raises(Invalid, match=r"^f.yaml:2:32: endpoints\[0\].number: must be a whole number, not 'bad'$"):
        document.validate(Entry, at=("endpoints", 0), without=("driver",))
    assert str(document.error(("endpoints", 0, "driver"), "no such driver 'x'", "install it")) == (
        "f.yaml:2:12: endpoints[0].driver: no such driver 'x' (install it)"
    )


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.text(max_size=80), st.binary(max_size=80), st.text("[]{}:,-?&*!|>'\"%@`# \n\tab<0.", max_size=60))
)
def test_whatever_the_text_is_the_answer_is_a_model_or_invalid(text: str | bytes) -> None:
    try:
        load(text, Fleet, "f.yaml")
    except Invalid as error:
        for line in str(error).splitlines():
            assert line.startswith("f.yaml")
            assert line.isprintable()
