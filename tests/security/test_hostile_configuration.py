"""Whatever stands in fleet.yaml, the answer is a configuration or one clear refusal; never a traceback."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yamori.control.configuration import Configuration, configure
from yamori.model.errors import Invalid

GOOD = """\
endpoints:
  - name: a
    driver: simulator
tick_s: 1
modules:
  guard: {}
"""
PIECES = [
    *("endpoints:", "- name: a", "driver: simulator", "driver: libvirt", "uri: qemu:///system", "tick_s: 1"),
    *(
        "  ",
        "\n",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<: *a",
        "!!python/object:os.system ",
        "|",
        ">",
        "#",
    ),
    *(
        "null",
        ".nan",
        ".inf",
        "-1",
        "1e999",
        "0x10",
        "~",
        "'",
        '"',
        "\\",
        "\t",
        "\x00",
        "\x85",
        "\u202e",
        "é",
        "💥",
    ),
    *("modules:", "guard:", "recording:", "max_mb: 1", "labels:", "a" * 300, "9" * 400),
]


def test_the_good_one_is_read() -> None:
    assert [e.name for e in configure(GOOD, "fleet.yaml").endpoints] == ["a"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + "surprise: 1\n", 7),
        (GOOD.replace("tick_s: 1", "tick_s: soon"), 4),
        (GOOD.replace("simulator", "nothing-of-this-name"), 3),
        (GOOD.replace("guard", "nothing-of-this-name"), 6),
        (GOOD.replace("guard: {}", "guard: {surprise: 1}"), 6),
        (GOOD.replace("name: a", "name: '../../etc/passwd'"), 2),
        (GOOD.replace("name: a", 'name: "a\\nb"'), 2),
    ],
)
def test_a_mistake_is_told_with_file_and_line(text: str, line: int) -> None:
    with pytest.raises(Invalid) as told:
        configure(text, "fleet.yaml")
    assert f"fleet.yaml:{line}:" in str(told.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200),
        st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
        st.tuples(st.integers(0, len(GOOD)), st.sampled_from(PIECES), st.integers(0, 12)).map(
            lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] + cut[2] :]
        ),
    )
)
def test_any_text_is_read_or_refused(untrusted_text: str | bytes) -> None:
    try:
        found: Configuration | str = configure(untrusted_text, "fleet.yaml")
    except Invalid as refusal:
        found = str(refusal)
    assert isinstance(found, Configuration) or (found and not {"\x00", "\x1b"} & set(found))
