"""Numbers, spans and times in words; where the state directory is; text that is fit to print."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from yamori.cli import wording
from yamori.cli.connection import default_state_dir
from yamori.cli.exits import MEANINGS, ExitCode, exit_code
from yamori.cli.files import named, write
from yamori.cli.terminal import aligned, clean, lines
from yamori.model.errors import Failed, YamoriError
from yamori.web.errors import kinds

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (wording.number(None), "unknown"),
        (wording.number(0.0123456), "0.0123"),
        (wording.number(12345.6), "12346"),
        (wording.cores(0.5), "0.50"),
        (wording.percent(0.0875), "8.75%"),
        (wording.percent(None), "unknown"),
        (wording.size(512 * 2**20), "512 MiB"),
        (wording.size(100), "100 B"),
        (wording.size(None), "unknown"),
        (wording.rate(5e6), "5 MB/s"),
        (wording.span(0.02), "20ms"),
        (wording.span(90), "90s"),
        (wording.span(600), "10m"),
        (wording.span(754), "12m34s"),
        (wording.span(5400), "1h30m"),
        (wording.span(3600), "1h"),
        (wording.span(3 * 86400), "3d00h"),
        (wording.span(-5), "-5s"),
        (wording.span(None), "unknown"),
        (wording.clock("nonsense"), "unknown"),
        (wording.clock("2026-11-01T12:00:00"), "unknown"),
        (wording.ago((NOW - timedelta(seconds=30)).isoformat(), NOW), "30s"),
        (wording.ago(None), "unknown"),
        (wording.until((NOW + timedelta(minutes=5)).isoformat(), NOW), "5m"),
        (wording.until((NOW - timedelta(minutes=5)).isoformat(), NOW), "0ms"),
        (wording.limit("cpu_cap", 0.5), "cpu 0.5 cores"),
        (wording.limit("net_out", 8e5), "net out 800 kB/s"),
        (wording.limit("cpu_cap", None), "cpu_cap unlimited"),
        (wording.limit("some\x1bthing", 5.0), "some\\x1bthing 5"),
        (wording.limits({}), "-"),
        (wording.hold(None), "-"),
        (wording.objective("disk_latency", 0.02), "20ms"),
        (wording.objective("cpu_delay", None), "unknown"),
        (clean("a" * 300, 5), "aaaaa…"),
        (lines("a\x1b\nb"), "a\\x1b\nb"),
        (named(Path("-")), "standard input"),
    ],
)
def test_each_is_written_for_people(written: str, words: str) -> None:
    assert written == words


def test_columns_are_aligned_without_blanks_at_the_end() -> None:
    rows = [["A", "N"], ["long", "1"], ["x", "22"]]
    assert aligned(rows, right=[False, True]) == ["A      N", "long   1", "x     22"]


def test_the_state_directory_is_that_of_the_environment_or_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAMORI_STATE_DIR", "/somewhere")
    assert default_state_dir() == Path("/somewhere")
    monkeypatch.delenv("YAMORI_STATE_DIR")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state_dir() == Path("/var/lib/yamori")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert default_state_dir() == Path("/home/x/state/yamori")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert default_state_dir() == Path("/home/x/.local/state/yamori")


def test_every_error_has_an_exit_code_and_every_code_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
    for kind in kinds():
        assert exit_code(kind.__new__(kind)) in set(ExitCode) - {ExitCode.OK}
    assert exit_code(YamoriError("x")) is ExitCode.FAILED


def test_a_file_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot be written"):
        write(tmp_path / "none" / "file", "x")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"live": True, "downtime_s": 0.3, "why": "aimed at"},
            "live; it pauses for a moment, about 300ms (aimed at)",
        ),
        ({"live": True, "downtime_s": None, "why": ""}, "live; it pauses for a moment, unknown how long"),
        ({"live": False, "downtime_s": 80.0, "why": ""}, "NOT live: it stands still meanwhile, about 80s"),
        ({"live": False, "downtime_s": None}, "NOT live: it stands still meanwhile, unknown how long"),
        ({"live": "yes", "downtime_s": True}, "unknown whether it is live"),
        ({"live": False, "downtime_s": float("inf")}, "NOT live: it stands still meanwhile, unknown how long"),
        ({}, "unknown whether it is live"),
    ],
)
def test_a_forecast_never_makes_the_unknown_sound_well(told: dict[str, Any], words: str) -> None:
    assert wording.forecast(told) == words
