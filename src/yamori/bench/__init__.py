"""Measurements against named peers. Never part of the tests."""

from collections.abc import Mapping

from yamori.bench import collect, detect, firewall, guard
from yamori.bench.result import Bench, BenchResult, Progress

BENCHES: Mapping[str, Bench] = {
    bench.name: bench for bench in (detect.BENCH, collect.BENCH, guard.BENCH, firewall.BENCH)
}

__all__ = ["BENCHES", "Bench", "BenchResult", "Progress"]
