"""Reads the answer to QueryPerf without making an object of each number: of a thousand VMs there are 50,000.

Both forms (vSphere API: PerfEntityMetric, PerfEntityMetricCSV) become the same plain values.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.parsers.expat import ParserCreate

_MOST_DEPTH = 16


@dataclass(slots=True)
class Told:
    """What was told of one object: ends (seconds since 1970) and lengths of samples, and a series a counter."""

    entity: str = ""
    times: list[tuple[float, float]] = field(default_factory=list)
    series: list[tuple[int, str, list[float]]] = field(default_factory=list)


def read(body: bytes) -> list[Told]:
    """Read an answer. Raises ValueError or ExpatError for what is none."""
    reader = _Reader()
    parser = ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(body, True)  # noqa: FBT003 - positional in expat
    return reader.told


class _Reader:
    """What expat meets. ``value`` is both a series and, in it, a number: the element around tells which."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._path: list[str] = []
        self._text = ""
        self._moments: dict[str, float] = {}
        self._one = Told()
        self._counter, self._instance, self._values = -1, "", list[float]()
        self._end, self._length = math.nan, math.nan

    def start(self, tag: str, _attributes: Any) -> None:
        name = tag.rpartition(" ")[2]
        if len(self._path) >= _MOST_DEPTH:
            raise ValueError("too deep")
        if name == "returnval":
            self._one = Told()
        elif name == "value" and self._path[-1:] != ["value"]:
            self._counter, self._instance, self._values = -1, "", []
        elif name == "sampleInfo":
            self._end, self._length = math.nan, math.nan
        self._path.append(name)
        self._text = ""

    def text(self, data: str) -> None:
        self._text += data

    def end(self, _tag: str) -> None:
        name = self._path.pop()
        text = self._text
        self._text = ""
        if name == "value":
            self._end_of_value(text)
        elif name == "counterId":
            self._counter = int(text)
        elif name == "instance":
            self._instance = text[:255]
        elif name == "timestamp":
            self._end = self._moment(text)
        elif name == "interval":
            self._length = length(int(text))
        elif name == "sampleInfo":
            self._one.times.append((self._end, self._length))
        elif name == "sampleInfoCSV":
            self._one.times = times_of_csv(text)
        elif name == "entity":
            self._one.entity = text[:255]
        elif name == "returnval":
            self.told.append(self._one)

    def _end_of_value(self, text: str) -> None:
        if self._path[-1:] == ["value"]:
            self._values.extend(numbers(text))
        else:
            self._one.series.append((self._counter, self._instance, self._values))

    def _moment(self, text: str) -> float:
        """The same moments come again with every VM."""
        known = self._moments.get(text)
        if known is None:
            known = self._moments[text] = epoch(datetime.fromisoformat(text.strip()))
        return known


def times_of_csv(untrusted_text: str) -> list[tuple[float, float]]:
    """``20,2026-11-23T11:26:00Z,20,2026-11-23T11:26:20Z``: length and end of each sample; nothing if garbled."""
    parts = untrusted_text.split(",") if untrusted_text else []
    times: list[tuple[float, float]] = []
    for seconds, end in zip(parts[::2], parts[1::2], strict=False):
        try:
            times.append((epoch(datetime.fromisoformat(end.strip())), length(int(seconds))))
        except ValueError:
            return []
    return times


def numbers(untrusted_text: str) -> list[float]:
    """``1,2,3``; nothing if garbled."""
    try:
        return [float(part) for part in untrusted_text.split(",")] if untrusted_text else []
    except ValueError:
        return []


def epoch(moment: Any) -> float:
    """Seconds since 1970; NaN for what is no moment."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment.timestamp()
    return math.nan


def length(seconds: Any) -> float:
    """The length of a sample; NaN for what is none."""
    return float(seconds) if isinstance(seconds, int) and 0 < seconds <= 3600 else math.nan
