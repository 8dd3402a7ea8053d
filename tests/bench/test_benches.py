"""Benchmarks run small and say valid JSON. What they measure is not asserted: that is not a test's business."""

import json

import pytest

from yamori.bench import BENCHES
from yamori.bench.__main__ import table
from yamori.bench.labelled import area, recall_at_one_a_day, runs

np = pytest.importorskip("numpy")


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_a_bench_runs_small_and_speaks_json(name, monkeypatch):
    monkeypatch.setenv("YAMORI_DATA", "/nonexistent")
    monkeypatch.setattr("yamori.bench.guard.data_folder", lambda: None)
    pytest.importorskip({"detect": "river", "collect": "libvirt"}.get(name, "json"))
    bench = BENCHES[name]
    progress = []
    result = bench.run(0.01, progress.append)
    told = json.loads(json.dumps(dict(result.json)))
    assert told["bench"] == bench.name == name
    assert progress
    assert bench.summary
    assert all(len(row) == len(result.rows[0]) for row in result.rows)
    assert result.title in table(result)


def test_absent_data_is_said_loudly(monkeypatch):
    monkeypatch.setattr("yamori.bench.guard.data_folder", lambda: None)
    monkeypatch.setattr("yamori.bench.guard.SCENARIOS", ())
    result = BENCHES["guard"].run(0.01, lambda _: None)
    assert any("SKIPPED" in note for note in result.notes)
    assert result.json["skipped"]


def test_average_precision_is_one_for_a_perfect_order_and_the_base_rate_for_none():
    truth = np.array([False] * 90 + [True] * 10)
    assert area(np.arange(100.0), truth) == 1.0
    assert area(-np.arange(100.0), truth) < 0.1


def test_an_event_counts_once_however_long_it_is():
    truth = np.zeros(288 * 2, bool)
    truth[100:200] = truth[400:410] = True
    scores = np.zeros(288 * 2)
    scores[150] = scores[405] = 5.0
    assert recall_at_one_a_day(scores, truth, 300.0) == 1.0
    assert runs(truth) == [(100, 200), (400, 410)]
