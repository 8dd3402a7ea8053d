"""Readings over the wire: every number as it was, unknown stays unknown, and nothing else is taken for one."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.agent.gateway.hostclock import MOST_DRIFT_S, HostClock
from yamori.agent.protocol.calls import Pin, SetLimits, taken
from yamori.agent.protocol.columns import MOST_VMS, Reading, pack, unpack
from yamori.capabilities.sensing.usage import Column, HostColumn, UsageFrame
from yamori.model.errors import Invalid
from yamori.model.ids import HostId, VMId

WALL = datetime(2026, 1, 1, tzinfo=UTC)
HOST = HostId("rack-a")


def frame(values: Any, hosts: int = 1) -> UsageFrame:
    array = np.array(values, np.float64).reshape(-1, len(Column))
    return UsageFrame(
        wall=WALL,
        vms=tuple(VMId(f"v{i}") for i in range(len(array))),
        hosts=tuple(HostId(f"h{i}") for i in range(hosts)),
        host_of=np.zeros(len(array), np.int32),
        read_at=np.full(hosts, 12.5),
        values=array,
        host_values=np.array([[4.0, 2.0**34, np.nan]] * hosts),
    )


def there_and_back(told: UsageFrame) -> UsageFrame:
    plain = pack(told, clock="boot").model_dump(mode="json")
    return unpack(taken(Reading, plain), host=HOST, read_at=99.0, wall=WALL)


NUMBERS = st.one_of(st.just(float("nan")), st.floats(min_value=0, allow_infinity=False))


@given(st.lists(st.lists(NUMBERS, min_size=len(Column), max_size=len(Column)), max_size=5))
def test_every_number_comes_back_as_it_was_and_unknown_stays_unknown(values: list[list[float]]) -> None:
    told = frame(values)
    found = there_and_back(told)
    assert np.array_equal(found.values, told.values, equal_nan=True)
    assert np.array_equal(found.host_values, told.host_values, equal_nan=True)
    assert found.vms == told.vms
    assert found.hosts == (HOST,)
    assert found.read_at.tolist() == [99.0]


def test_a_number_that_cannot_be_is_unknown() -> None:
    found = there_and_back(frame([[float("inf"), -1.0, float("-inf"), 0.0, *[1.0] * (len(Column) - 4)]]))
    assert np.isnan(found.values[0, :3]).all()
    assert found.values[0, 3] == 0.0


def test_columns_are_told_by_name_so_that_versions_may_differ() -> None:
    plain = pack(frame([[1.0] * len(Column)]), clock="boot").model_dump(mode="json")
    plain["columns"] = ["of_the_future", *plain["columns"][1:]]
    found = unpack(taken(Reading, plain), host=HOST, read_at=1.0, wall=WALL)
    assert np.isnan(found.values[0, Column.RUNNING]), "what is not told is unknown"
    assert (found.values[0, 1:] == 1.0).all()


def test_an_agent_speaks_for_one_host() -> None:
    with pytest.raises(Invalid, match="one host"):
        pack(frame([], hosts=2), clock="boot")


@pytest.mark.parametrize(
    "change",
    [
        {"values": "AAAA"},
        {"values": "not base64!"},
        {"values": ""},
        {"vms": ["v0", "v0"]},
        {"vms": ["V0"]},
        {"vms": ["a b"]},
        {"vms": ["x" * 200]},
        {"vms": [f"v{i}" for i in range(MOST_VMS + 1)]},
        {"columns": ["running"] * 20},
        {"columns": [f"c{i}" for i in range(65)]},
        {"host_values": "AAAA" * 500},
        {"read_at": None},
        {"read_at": "12"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_reading_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    plain = pack(frame([[1.0] * len(Column)]), clock="boot").model_dump(mode="json") | change
    with pytest.raises(Invalid):
        unpack(taken(Reading, plain), host=HOST, read_at=1.0, wall=WALL)


def test_a_reading_of_a_thousand_vms_is_small_enough() -> None:
    told = frame(np.random.default_rng(1).random((1000, len(Column))) * 1e12)
    size = len(pack(told, clock="boot").model_dump_json())
    assert size < 260_000
    assert np.array_equal(there_and_back(told).values, told.values)


def test_the_rows_of_the_host_are_those_of_the_capability() -> None:
    assert there_and_back(frame([])).host_values.shape == (1, len(HostColumn))


def test_a_hosts_clock_keeps_its_differences_and_begins_anew_with_another_boot() -> None:
    clock = HostClock()
    first = clock.ours("boot-1", read=1000.25, now=50.0)
    assert first == 50.0
    late = clock.ours("boot-1", read=1001.5, now=53.9)
    assert late - first == 1.25, "how long the answer took does not count"
    rebooted = clock.ours("boot-2", read=3.0, now=60.0)
    assert rebooted == 60.0
    assert clock.ours("boot-2", read=4.0, now=61.2) == 61.0
    slept = clock.ours("boot-2", read=5.0, now=62.0 + 2 * MOST_DRIFT_S)
    assert slept == 62.0 + 2 * MOST_DRIFT_S


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"vm": "v", "limits": {"cpu_cap": "1"}},
        {"vm": "v", "limits": {"cpu_cap": float("nan")}},
        {"vm": "v", "limits": {"cpu_cap": 0}},
        {"vm": "v", "limits": {"cpu_cap": -1}},
        {"vm": "v", "limits": {"cpu_cap": 1e300}},
        {"vm": "v", "limits": {"warp": 1}},
        {"vm": "v", "limits": {}, "lapse_s": 0},
        {"vm": "v", "limits": {}, "lapse_s": 1e12},
        {"vm": "v", "limits": {}, "more": 1},
        {"vm": 7, "limits": {}},
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_are_refused(wrong: Any) -> None:
    with pytest.raises(Invalid):
        taken(SetLimits, wrong)


def test_cpus_are_numbers_of_cpus() -> None:
    assert taken(Pin, {"vm": "v", "cpus": [0, 3]}).cpus == (0, 3)
    assert taken(Pin, {"vm": "v", "cpus": None}).cpus is None
    for wrong in ([-1], ["0"], [1.5], [10**9], list(range(9000))):
        with pytest.raises(Invalid):
            taken(Pin, {"vm": "v", "cpus": wrong})
