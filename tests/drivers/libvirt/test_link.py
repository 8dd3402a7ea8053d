"""A link is closed by the last call through it: libvirt itself frees it under the hands of the others."""

import threading
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest

from yamori.drivers.libvirt.link import Link
from yamori.model.errors import Unreachable

LONG = 60.0


class Opened:
    """A connection to libvirt's test driver that tells when it was closed, and what touched it after that."""

    def __init__(self) -> None:
        self._opened: Any = libvirt.open("test:///default")
        self.closed = threading.Event()
        self.touched_after: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if self.closed.is_set():
            self.touched_after.append(name)
        return getattr(self._opened, name)

    def close(self) -> None:
        self._opened.close()
        self.closed.set()


@pytest.fixture
def opened() -> Iterator[Opened]:
    made = Opened()
    yield made
    if not made.closed.is_set():
        made.close()


def link_of(opened: Opened, detached: list[str]) -> Link:
    return Link(opened, name="here", before_close=[lambda at: detached.append(at.getType())])


def test_a_link_that_is_left_while_it_is_used_is_closed_after_the_call(opened: Opened) -> None:
    detached: list[str] = []
    link = link_of(opened, detached)
    begun, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def job(at: Any) -> str:
        begun.set()
        go_on.wait(LONG)
        return str(at.getType())

    caller = threading.Thread(target=lambda: told.append(link.use(job)))
    caller.start()
    assert begun.wait(LONG)
    link.leave()
    assert not link.wait_closed(0.2)
    assert not opened.closed.is_set()
    go_on.set()
    caller.join(LONG)
    assert told == ["TEST"]
    assert link.wait_closed(LONG)
    assert opened.closed.is_set()
    assert detached == ["TEST"]
    assert opened.touched_after == []


def test_nobody_begins_with_a_link_that_was_left(opened: Opened) -> None:
    link = link_of(opened, [])
    assert link.alive()
    link.leave()
    assert link.wait_closed(LONG)
    with pytest.raises(Unreachable):
        link.use(lambda at: at.getType())
    assert not link.alive()
    assert opened.touched_after == []


def test_it_is_closed_once_however_often_it_is_left(opened: Opened) -> None:
    detached: list[str] = []
    link = link_of(opened, detached)
    for _ in range(3):
        link.leave()
    assert link.wait_closed(LONG)
    link.leave()
    assert detached == ["TEST"]


def test_the_last_of_many_closes_it_and_what_a_job_raises_is_passed_on(opened: Opened) -> None:
    link = link_of(opened, [])
    begun, go_on = threading.Barrier(5), threading.Event()
    raised: list[str] = []

    def job(_: Any) -> None:
        begun.wait(LONG)
        go_on.wait(LONG)
        raise KeyError("mine")

    def call() -> None:
        try:
            link.use(job)
        except KeyError as error:
            raised.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for each in callers:
        each.start()
    begun.wait(LONG)
    link.leave()
    assert not opened.closed.is_set()
    go_on.set()
    for each in callers:
        each.join(LONG)
    assert raised == ["'mine'"] * 4
    assert link.wait_closed(LONG)
