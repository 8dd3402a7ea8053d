"""From the server's samples to rates in our units: sums, absences, nonsense."""

from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyVmomi import vim

from tests.drivers.vsphere.samples import NAMES, Series, answer, counters, csv, normal
from yamori.capabilities.sensing.usage import Column
from yamori.drivers.vsphere.counters import PLAYED, Counters, Sample
from yamori.drivers.vsphere.series import read as read_series

FORMS = pytest.mark.parametrize("form", [normal, csv], ids=["normal", "csv"])
Form = Callable[..., Any]


def value(sample: Sample, column: Column) -> float:
    return float(sample.rates[PLAYED.index(column)])


def read(form: Form, series: Series, ends: tuple[float, ...] = (1000.0,), *, names: Any = NAMES) -> list[Sample]:
    return Counters(counters(names)).samples(form(series, ends))


@FORMS
def test_milliseconds_over_the_sample_become_seconds_per_second(form: Form) -> None:
    sample, *_ = read(form, {("cpu.used.summation", ""): [30_000], ("cpu.ready.summation", ""): [1_000]})
    assert value(sample, Column.CPU_TIME) == pytest.approx(1.5)
    assert value(sample, Column.CPU_DELAY) == pytest.approx(0.05)


@FORMS
def test_waiting_for_its_own_limit_is_no_delay_and_co_scheduling_is(form: Form) -> None:
    told = {
        ("cpu.ready.summation", ""): [10_000],
        ("cpu.maxlimited.summation", ""): [9_000],
        ("cpu.costop.summation", ""): [500],
    }
    assert value(read(form, told)[0], Column.CPU_DELAY) == pytest.approx(1.5 / 20)
    told[("cpu.maxlimited.summation", "")] = [11_000]  # counted a little differently: never below zero
    assert value(read(form, told)[0], Column.CPU_DELAY) == pytest.approx(0.5 / 20)


@FORMS
def test_disks_are_summed_and_the_time_of_each_is_its_number_times_its_mean(form: Form) -> None:
    told = {
        ("virtualDisk.numberReadAveraged.average", "scsi0:0"): [100],
        ("virtualDisk.numberReadAveraged.average", "scsi0:1"): [10],
        ("virtualDisk.totalReadLatency.average", "scsi0:0"): [2],
        ("virtualDisk.totalReadLatency.average", "scsi0:1"): [50],
        ("virtualDisk.read.average", "scsi0:0"): [4],
        ("virtualDisk.read.average", "scsi0:1"): [1],
        ("virtualDisk.read.average", ""): [5],
    }
    sample = read(form, told)[0]
    assert value(sample, Column.DISK_READ_OPS) == 110
    assert value(sample, Column.DISK_READ_TIME) == pytest.approx(100 * 0.002 + 10 * 0.05)
    assert value(sample, Column.DISK_READ_BYTES) == 5 * 1024, "the server's own sum is not added to its parts"


@FORMS
def test_a_disk_whose_latency_is_not_told_leaves_the_time_unknown(form: Form) -> None:
    told = {
        ("virtualDisk.numberReadAveraged.average", "scsi0:0"): [100],
        ("virtualDisk.numberReadAveraged.average", "scsi0:1"): [10],
        ("virtualDisk.totalReadLatency.average", "scsi0:0"): [2],
    }
    sample = read(form, told)[0]
    assert np.isnan(value(sample, Column.DISK_READ_TIME))
    assert value(sample, Column.DISK_READ_OPS) == 110


@FORMS
def test_the_server_s_sum_over_cards_is_taken_and_packets_become_a_rate(form: Form) -> None:
    told = {
        ("net.received.average", ""): [300],
        ("net.received.average", "4000"): [100],
        ("net.packetsRx.summation", ""): [4_000],
        ("net.droppedRx.summation", "4000"): [10],
        ("net.droppedRx.summation", "4001"): [30],
    }
    sample = read(form, told)[0]
    assert value(sample, Column.NET_RX_BYTES) == 300 * 1024
    assert value(sample, Column.NET_RX_PACKETS) == 200
    assert value(sample, Column.NET_RX_DROPS) == 2, "without a sum of the server's, the cards are summed"


@FORMS
def test_what_is_not_told_is_nan_and_never_zero(form: Form) -> None:
    sample = read(form, {})[0]
    assert np.isnan(sample.rates).all()
    assert np.isnan([sample.consumed, sample.ballooned]).all()


def test_counters_that_the_server_lacks_are_not_asked_for_and_nan() -> None:
    few = ("cpu.used.summation", "cpu.ready.summation")
    known = Counters(counters(few))
    question = known.questions([vim.VirtualMachine("vm-1", None)], 3)[0]
    assert len(question.metricId) == len(few) == len(known.names)
    sample = known.samples(normal({("cpu.used.summation", ""): [20_000]}, [1000.0]))[0]
    assert value(sample, Column.CPU_TIME) == 1.0
    assert np.isnan(value(sample, Column.NET_RX_BYTES))
    assert Counters([]).names == frozenset()


@FORMS
def test_negative_means_missing(form: Form) -> None:
    told = {("cpu.used.summation", ""): [-1, 20_000]}
    first, second = read(form, told, (1000.0, 1020.0))
    assert np.isnan(value(first, Column.CPU_TIME))
    assert value(second, Column.CPU_TIME) == 1.0


@FORMS
def test_a_series_of_another_length_cannot_be_placed_in_time_and_is_unknown(form: Form) -> None:
    told = {("cpu.used.summation", ""): [20_000], ("cpu.ready.summation", ""): [1, 2, 3]}
    for sample in read(form, told, (1000.0, 1020.0)):
        assert np.isnan(sample.rates).all()


@FORMS
def test_samples_come_oldest_first_whatever_the_server_s_order(form: Form) -> None:
    told = {("cpu.used.summation", ""): [3_000, 2_000, 1_000]}
    samples = read(form, told, (1040.0, 1020.0, 1000.0))
    assert [sample.end_s for sample in samples] == [1000.0, 1020.0, 1040.0]
    assert [value(sample, Column.CPU_TIME) for sample in samples] == pytest.approx([0.05, 0.1, 0.15])


@pytest.mark.parametrize(
    "times",
    ["", "20", "x,y", "20,yesterday", "20,2026-11-23T11:00:00", "0,2026-11-23T11:00:00Z", ",,,,", "-5," * 9],
)
def test_garbage_for_times_gives_no_usable_sample(times: str) -> None:
    told = csv({("cpu.used.summation", ""): [1]}, [1000.0], times=times)
    for sample in Counters(counters()).samples(told):
        assert not (np.isfinite(sample.end_s) and np.isfinite(sample.seconds))


@pytest.mark.parametrize("values", ["", "x", "1,,2", "nan", "inf", "-inf", "1e999", "1,2,3"])
def test_garbage_for_values_is_unknown(values: str) -> None:
    told = csv({("cpu.used.summation", ""): values}, [1000.0])
    sample = Counters(counters()).samples(told)[0]
    assert np.isnan(value(sample, Column.CPU_TIME))


def test_each_object_is_told_apart_by_the_server_s_key() -> None:
    one = answer("<sampleInfoCSV></sampleInfoCSV>", "PerfEntityMetricCSV")
    two = one.replace(b"</returnval>", b"</returnval><returnval><entity>vm-2</entity></returnval>")
    assert [told.entity for told in read_series(two)] == ["vm-1", "vm-2"]


@pytest.mark.parametrize(
    "inner",
    [
        "<value><id><counterId>x</counterId></id></value>",
        "<sampleInfo><interval>soon</interval></sampleInfo>",
        "<sampleInfo><timestamp>yesterday</timestamp></sampleInfo>",
        "<a>" * 1000 + "</a>" * 1000,
        "<value>",
        "&bogus;",
    ],
    ids=range(6),
)
def test_an_answer_that_is_garbled_is_an_error_and_no_half_answer(inner: str) -> None:
    with pytest.raises((ValueError, ExpatError)):
        read_series(answer(inner, "PerfEntityMetric"))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_error_or_nothing(body: bytes) -> None:
    try:
        assert isinstance(read_series(body), list)
    except (ValueError, ExpatError):
        return
