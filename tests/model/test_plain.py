import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.manifest.module import Hold
from yamori.model.actions import Action, Migrate, Release, Throttle
from yamori.model.errors import Invalid
from yamori.model.finding import Coverage, Evidence, Finding, Severity
from yamori.model.ids import FindingId, HostId, RuleId, RunId, VMId
from yamori.model.limits import LimitKind, Limits
from yamori.model.plain import DEEPEST, from_plain, to_plain
from yamori.model.proposal import Decision, Proposal, Verdict
from yamori.model.run import JournalEntry, Run, RunState
from yamori.model.secret import Secret
from yamori.model.sla import GOLD, SLAClass
from yamori.model.vm import VM, Disk, Nic, PowerState

AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
THROTTLE = Throttle(vm=VMId("v"), limits={LimitKind.CPU_CAP: 0.5}, expires_after_s=60.0)
PROPOSAL = Proposal(action=THROTTLE, by="guard", reason="because", finding=FindingId("f"), proposed_at=AT)
DECISION = Decision(verdict=Verdict.ALLOW, rule=RuleId("r"), reason="rule", action=THROTTLE, decided_at=AT)
ENTRY = JournalEntry(
    run=RunId("1"), number=0, state=RunState.PLANNED, step="s", note={"deep": [{"a": None}]}, token=3, at=AT
)
VALUES: list[Any] = [
    PROPOSAL,
    DECISION,
    ENTRY,
    Run(
        id=RunId("1"),
        subject=VMId("v"),
        proposal=PROPOSAL,
        decision=DECISION,
        state=RunState.FAILED,
        before={"limits": {"cpu_cap": None}},
        seen=None,
        error="no",
        created_at=AT,
        updated_at=AT,
        entries=(ENTRY,),
    ),
    Finding(
        id=FindingId("f"),
        key="k",
        module="guard",
        kind="noisy",
        severity=Severity.HIGH,
        confidence=0.75,
        summary="ünïcode \x00 \u2028",
        host=HostId("h"),
        cause=None,
        victims=(VMId("a"), VMId("b")),
        resource="cpu",
        nature="attack",
        evidence=(Evidence(what="cpu", subject="v", value=1.5, unit="cores"),),
        coverage=Coverage(examined=1, of=2, missing=("x",)),
        opened_at=AT,
        updated_at=AT,
    ),
    VM(
        id=VMId("v"),
        name="n",
        host=None,
        state=PowerState.RUNNING,
        vcpus=1,
        memory_bytes=1,
        memory_max_bytes=2,
        disks=(Disk(target="vda", capacity_bytes=None),),
        nics=(Nic(target=None, mac="m", network=None),),
        labels={"sla": "gold"},
    ),
    Limits(values={LimitKind.MEMORY: None}, unknown={LimitKind.NET_IN: "why"}, pinning=frozenset({2, 0})),
    GOLD,
    Hold(
        vm=VMId("v"),
        before={LimitKind.CPU_CAP: None},
        asked={LimitKind.CPU_CAP: 0.5},
        since=AT,
        expires_at=AT,
        run="1",
        finding_key=None,
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_a_value_survives_the_way_through_json_text(value: Any) -> None:
    text = json.dumps(to_plain(value), allow_nan=False)
    assert from_plain(type(value), json.loads(text)) == value


@pytest.mark.parametrize("action", [THROTTLE, Release(vm=VMId("v")), Migrate(vm=VMId("v"), to=HostId("h"))])
def test_an_action_is_told_apart_by_its_verb(action: Any) -> None:
    plain = to_plain(action)
    assert plain["verb"] == type(action).verb
    assert from_plain(Action, plain) == action
    assert from_plain(Action | None, None) is None


def test_a_time_is_written_in_utc_and_keeps_its_moment() -> None:
    there = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    assert to_plain(there) == "2026-01-01T00:00:00.000000Z"
    assert from_plain(datetime, to_plain(there)) == there


def test_numbers_of_numpy_become_ordinary_ones() -> None:
    plain = to_plain({"i": np.int64(3), "f": np.float64(0.5)})
    assert plain == {"i": 3, "f": 0.5}
    assert type(plain["i"]) is int
    assert type(plain["f"]) is float


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        datetime(2026, 1, 1),  # noqa: DTZ001
        Secret("s"),
        {1: "x"},
        "\ud800",
        {"\ud800": 1},
        ...,
        Throttle,
        b"x",
    ],
    ids=repr,
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        to_plain(value)


def _bent(change: Mapping[str, Any], without: str = "") -> dict[str, Any]:
    return {k: v for k, v in {**to_plain(PROPOSAL), **change}.items() if k != without}


@pytest.mark.parametrize(
    ("plain", "place"),
    [
        (_bent({}, without="by"), "by is missing"),
        (_bent({"more": 1}), "unknown member 'more'"),
        (_bent({"by": 1}), "value.by"),
        (_bent({"by": "\ud800"}), "surrogate"),
        (_bent({"proposed_at": "yesterday"}), "value.proposed_at"),
        (_bent({"proposed_at": "2026-01-01T00:00:00"}), "zone"),
        (_bent({"proposed_at": "0001-01-01T00:00:00+09:00"}), "years"),
        (
            _bent({"action": {"verb": "throttle", "vm": "v", "limits": [], "expires_after_s": 1}}),
            "value.action.limits: expected an object",
        ),
        (_bent({"action": {"verb": "destroy", "vm": "v"}}), "destroy"),
        (_bent({"action": {"vm": "v"}}), "verb"),
        (_bent({"action": {"verb": ["throttle"], "vm": "v"}}), "verb"),
        (_bent({"action": "throttle"}), "verb"),
        (
            _bent({"action": {"verb": "throttle", "vm": "v", "limits": {"gpu": 1}, "expires_after_s": 1}}),
            "value.action.limits",
        ),
        (
            _bent({"action": {"verb": "throttle", "vm": "v", "limits": {"memory": True}, "expires_after_s": 1}}),
            "value.action.limits.memory",
        ),
        (
            _bent({"action": {"verb": "throttle", "vm": "v", "limits": {}, "expires_after_s": 10**400}}),
            "finite",
        ),
        ([], "an object"),
        (None, "an object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(plain: Any, place: str) -> None:
    with pytest.raises(Invalid, match=r".*" + place.replace(".", r"\.") + r".*"):
        from_plain(Proposal, plain)


def test_a_wrong_verb_inside_a_fixed_type_is_refused() -> None:
    with pytest.raises(Invalid):
        from_plain(Release, {"verb": "migrate", "vm": "v"})
    assert from_plain(Release, {"vm": "v"}) == Release(vm=VMId("v"))


def test_lists_rows_and_flags_are_read_strictly() -> None:
    assert from_plain(tuple[int, str], [1, "a"]) == (1, "a")
    assert from_plain(list[bool], [True]) == [True]
    assert from_plain(int, 2.0) == 2
    for kind, plain in (
        (datetime, "0001-01-01T00:00:00+09:00"),
        (None, 1),
        (tuple[int, str], [1]),
        (list[bool], [1]),
        (tuple[int, ...], "12"),
        (int, 1.5),
        (int, True),
    ):
        with pytest.raises(Invalid):
            from_plain(kind, plain)


def test_free_json_is_bounded_in_depth() -> None:
    deep: Any = None
    for _ in range(DEEPEST + 2):
        deep = [deep]
    with pytest.raises(Invalid, match="deeper"):
        from_plain(Any, deep)
    with pytest.raises(Invalid, match="deeper"):
        to_plain(deep)


def test_types_that_cannot_be_told_apart_are_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        odd: int | str

    with pytest.raises(Invalid, match="told apart"):
        from_plain(Odd, {"odd": 1})
    for kind in (bytes, Mapping, type[int]):
        with pytest.raises(Invalid, match="no plain form"):
            from_plain(kind, {})


FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(FREE)
def test_any_json_is_either_read_or_refused_as_invalid(plain: Any) -> None:
    for kind in (Run, Finding, Action, Limits, VM, SLAClass, Any):
        try:
            read = from_plain(kind, plain)
        except Invalid:
            continue
        assert from_plain(kind, to_plain(read)) == read
