"""How long vCPUs waited is told exactly from the scheduler's records; where records are missing nothing is told.

The recording is of two guests that burn one CPU of a real host (Xen 4.17); xenalyze's figures stand beside it.
"""

import struct
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yamori.agent.functions.xen.trace import BLOCKED, RUNNABLE, RUNNING, Stream
from yamori.agent.functions.xen.tracer import Tracer
from yamori.agent.functions.xen.waiting import Waits
from yamori.model.errors import Failed

RECORDING = Path(__file__).parent / "recorded" / "xentrace-two-burners.bin"
XENALYZE = {1: 118 * 60_167_434, 2: 116 * 60_865_725}
"""Ticks that xenalyze --summary counts as "preempt": number of waits times their mean."""


def record(when: int, domain: int, vcpu: int, old: int, new: int) -> bytes:
    event = 0x0002_1001 | old << 8 | new << 4
    return struct.pack("<IQI", 0x9000_0000 | event, when, domain << 16 | vcpu)


def window(cpu: int, *records: bytes) -> bytes:
    content = b"".join(records)
    return struct.pack("<III", 0x2001_F003, cpu, len(content)) + content


def lost(when: int) -> bytes:
    return struct.pack("<IQIIQ", 0xC001_F001, when, 7, 0, when)


FLUSH = b"".join(window(cpu) for cpu in (0, 1, 0, 1, 0))
"""Passes without records: what came before them is complete."""


def waits(*pieces: bytes) -> Waits:
    found, stream = Waits(), Stream()
    for piece in pieces:
        found.add(stream.feed(piece))
    found.advance()
    return found


def test_the_recording_says_what_xenalyze_says_of_it() -> None:
    told = waits(RECORDING.read_bytes(), FLUSH).told([1, 2])
    assert told is not None
    for domain, ticks in XENALYZE.items():
        assert told[domain] == pytest.approx(ticks, rel=0.04)  # it leaves out the wait that the recording cuts off


@given(st.integers(1, 5000))
def test_in_whatever_pieces_the_stream_comes_it_says_the_same(size: int) -> None:
    content = RECORDING.read_bytes()[:6000]
    stream = Stream()
    windows = [w for at in range(0, len(content), size) for w in stream.feed(content[at : at + size])]
    whole = Stream().feed(content)
    assert windows == whole


def test_a_wait_that_began_on_one_cpu_and_ended_on_another_is_counted_once() -> None:
    woken_on_1 = window(1, record(100, 5, 0, BLOCKED, RUNNABLE))
    began_on_0 = window(0, record(50, 6, 0, RUNNING, BLOCKED), record(140, 5, 0, RUNNABLE, RUNNING))
    assert waits(began_on_0, woken_on_1, FLUSH).told([5]) == {5: 40}


def test_a_wait_that_goes_on_counts_as_far_as_is_known() -> None:
    found = waits(
        window(0, record(100, 5, 0, RUNNING, RUNNABLE), record(400, 6, 0, RUNNABLE, RUNNING)),
        FLUSH,
    )
    assert found.told([5]) == {5: 300}


def test_a_vcpu_that_waited_since_before_the_first_record_waited_since_then() -> None:
    found = waits(window(0, record(100, 6, 0, RUNNING, BLOCKED), record(160, 5, 1, RUNNABLE, RUNNING)), FLUSH)
    assert found.told([5, 6]) == {5: 60, 6: 0}


def test_vcpus_of_a_domain_add_up_and_domains_do_not_mix() -> None:
    rows = [record(100 + n, domain, n, RUNNING, RUNNABLE) for domain in (5, 6) for n in range(3)]
    rows += [record(200, domain, n, RUNNABLE, RUNNING) for domain in (5,) for n in range(3)]
    rows += [record(300, domain, n, RUNNABLE, RUNNING) for domain in (6,) for n in range(3)]
    assert waits(window(0, *rows), FLUSH).told([5, 6]) == {5: 297, 6: 597}


def test_where_records_were_lost_nothing_is_told_once_and_what_was_known_is_kept() -> None:
    stream, found = Stream(), Waits()
    found.add(
        stream.feed(window(0, record(100, 5, 0, RUNNING, RUNNABLE), record(150, 5, 0, RUNNABLE, RUNNING)) + FLUSH)
    )
    found.advance()
    assert found.told([5]) == {5: 50}
    # Lost: that it stopped, and began to wait again. With what is left it would seem to wait all the time.
    found.add(stream.feed(window(0, lost(1000), record(1100, 5, 0, RUNNABLE, RUNNING)) + FLUSH))
    found.advance()
    assert found.told([5]) is None
    told = found.told([5])
    assert told is not None
    assert told[5] <= 50 + 100
    assert told[5] >= 50


def test_a_change_that_does_not_follow_from_the_last_makes_that_domain_unknown_once() -> None:
    found = waits(
        window(
            0,
            record(100, 5, 0, RUNNING, BLOCKED),
            record(150, 6, 0, RUNNING, RUNNABLE),
            record(200, 5, 0, RUNNABLE, RUNNING),
            record(250, 6, 0, RUNNABLE, RUNNING),
        ),
        FLUSH,
    )
    assert found.told([5, 6]) == {6: 100}
    assert found.told([5, 6]) == {5: 0, 6: 100}


def test_it_never_falls(tmp_path: Path) -> None:
    content, stream, found = RECORDING.read_bytes(), Stream(), Waits()
    before = {1: 0, 2: 0}
    for at in range(0, len(content), 700):
        found.add(stream.feed(content[at : at + 700]))
        found.advance()
        told = found.told([1, 2])
        if told is not None:
            assert all(told[domain] >= before[domain] for domain in told)
            before |= told


def test_a_domain_that_is_gone_is_forgotten() -> None:
    found = waits(window(0, record(100, 5, 0, RUNNING, RUNNABLE), record(150, 5, 0, RUNNABLE, RUNNING)), FLUSH)
    found.told([6])
    assert found.told([5]) == {5: 0}


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_read_as_nothing_but_never_breaks(content: bytes) -> None:
    try:
        windows = Stream().feed(content)
    except Failed:
        return
    found = Waits()
    found.add(windows)
    found.advance()


@given(st.binary(min_size=0, max_size=64).map(lambda b: b[: len(b) & ~3]))
def test_garbage_in_a_window_is_refused_or_skipped(content: bytes) -> None:
    try:
        Stream().feed(struct.pack("<III", 0x2001_F003, 0, len(content)) + content)
    except Failed:
        return


PLAYER = """
import sys, time
from pathlib import Path
content = Path(sys.argv[1]).read_bytes()
with open(sys.argv[2], "wb", buffering=0) as out:
    out.write(content)
    time.sleep(float(sys.argv[3]))
"""


def player(seconds: float) -> tuple[str, ...]:
    return (
        sys.executable,
        "-c",
        f"import sys; sys.argv[1:] = [{str(RECORDING)!r}, sys.argv[1], {seconds}]\n{PLAYER}",
    )


def test_a_child_s_stream_is_added_up_and_the_child_ends_with_its_tracer() -> None:
    tracer = Tracer(1e9, player(600.0))
    try:
        assert tracer.wait_begun(30)
        told = None
        end = time.monotonic() + 30
        while told is None and time.monotonic() < end:
            told = tracer.told([1, 2])
            time.sleep(0.05)
        assert told is not None
        assert set(told) == {1, 2}
        assert tracer.why_not is None
    finally:
        tracer.close()
    assert tracer._child is not None
    assert tracer._child.returncode is not None


def test_a_child_that_cannot_be_started_is_told_as_the_reason() -> None:
    tracer = Tracer(1e9, ("/nonexistent/xentrace",))
    try:
        assert not tracer.wait_begun(0.5)
        assert tracer.told([1]) is None
        assert "xentrace" in (tracer.why_not or "")
    finally:
        tracer.close()
