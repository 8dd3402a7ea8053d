"""A link gives each call a connection of its own, breaks as a whole, and closes what nobody uses any more."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import pytest

from yamori.drivers.libvirt.link import KEPT_IDLE, Link
from yamori.model.errors import Unreachable

LONG = 60.0


class Opened:
    """A connection to libvirt's test driver that tells when it was closed, and what touched it after that."""

    def __init__(self) -> None:
        self._opened: Any = libvirt.open("test:///default")
        self.closed = threading.Event()
        self.touched_after: list[str] = []
        self.alive = True

    def __getattr__(self, name: str) -> Any:
        if self.closed.is_set():
            self.touched_after.append(name)
        return getattr(self._opened, name)

    def isAlive(self) -> bool:
        return self.alive and bool(self._opened.isAlive())

    def close(self) -> None:
        self._opened.close()
        self.closed.set()


class Opening:
    """Opens connections and remembers them."""

    def __init__(self) -> None:
        self.made: list[Opened] = []
        self.refuses = False
        self.detached: list[Any] = []

    def __call__(self) -> Opened:
        if self.refuses:
            libvirt.open("test:///no/such/file")
        self.made.append(Opened())
        return self.made[-1]

    def link(self) -> Link:
        return Link(self(), name="here", another=self, before_close=[self.detached.append])


@pytest.fixture
def opening() -> Iterator[Opening]:
    opening = Opening()
    yield opening
    for each in opening.made:
        assert each.touched_after == []
        if not each.closed.is_set():
            each.close()


class Callers:
    """Calls that have all begun, and go on when they are told to."""

    def __init__(self, link: Link, count: int, end: Callable[[Any], object] = lambda _: None) -> None:
        self._begun, self._go_on = threading.Barrier(count + 1), threading.Event()
        self._end = end
        self.had: list[Any] = []
        self.raised: list[BaseException] = []
        self._threads = [threading.Thread(target=self._call, args=(link,)) for _ in range(count)]
        for each in self._threads:
            each.start()
        self._begun.wait(LONG)

    def finish(self) -> None:
        self._go_on.set()
        for each in self._threads:
            each.join(LONG)

    def _call(self, link: Link) -> None:
        try:
            link.use(self._job)
        except (KeyError, libvirt.libvirtError) as error:
            self.raised.append(error)

    def _job(self, mine: Any) -> None:
        self.had.append(mine)
        self._begun.wait(LONG)
        self._go_on.wait(LONG)
        self._end(mine)


def test_calls_at_the_same_time_have_a_connection_each_and_later_ones_use_them_again(
    opening: Opening,
) -> None:
    link = opening.link()
    for _ in range(2):
        callers = Callers(link, 3)
        callers.finish()
        assert {id(each) for each in callers.had} == {id(each) for each in opening.made}
    assert len(opening.made) == 3
    link.leave()
    assert link.wait_closed(LONG)
    assert all(each.closed.is_set() for each in opening.made)
    assert opening.detached == opening.made[:1]


def test_after_a_rush_only_some_connections_are_kept(opening: Opening) -> None:
    link = opening.link()
    Callers(link, KEPT_IDLE + 4).finish()
    spare = [each for each in opening.made if not each.closed.wait(0.5)]
    assert len(spare) <= KEPT_IDLE + 1
    assert not opening.made[0].closed.is_set()
    assert link.alive()
    link.leave()
    assert link.wait_closed(LONG)


def test_a_link_that_is_left_while_it_is_used_is_closed_after_the_calls(opening: Opening) -> None:
    link = opening.link()
    told: list[str] = []
    callers = Callers(link, 2, end=lambda mine: told.append(mine.getType()))
    link.leave()
    assert not link.wait_closed(0.2)
    assert not any(each.closed.is_set() for each in opening.made)
    callers.finish()
    assert told == ["TEST", "TEST"]
    assert link.wait_closed(LONG)
    assert all(each.closed.is_set() for each in opening.made)


def test_nobody_begins_with_a_link_that_was_left(opening: Opening) -> None:
    link = opening.link()
    assert link.alive()
    for _ in range(3):
        link.leave()
    assert link.wait_closed(LONG)
    with pytest.raises(Unreachable):
        link.use(lambda mine: mine.getType())
    assert not link.alive()
    assert opening.detached == opening.made


def test_what_a_job_raises_is_passed_on(opening: Opening) -> None:
    link = opening.link()

    def fail(_: Any) -> None:
        raise KeyError("mine")

    callers = Callers(link, 4, end=fail)
    callers.finish()
    assert [str(each) for each in callers.raised] == ["'mine'"] * 4
    assert link.alive()


def test_it_breaks_as_a_whole_when_one_connection_does(opening: Opening) -> None:
    link = opening.link()
    callers = Callers(link, 2, end=lambda mine: mine.lookupByName("nobody"))
    callers.finish()
    assert len(callers.raised) == 2
    assert link.alive()
    opening.made[1].alive = False
    callers = Callers(link, 2, end=lambda mine: mine.lookupByName("nobody"))
    callers.finish()
    assert len(opening.made) == 2
    assert not link.alive()


def test_a_call_that_no_connection_is_to_be_had_for_says_so_and_leaves_nothing_open(opening: Opening) -> None:
    link = opening.link()
    callers = Callers(link, 1)
    opening.refuses = True
    with pytest.raises(Unreachable):
        link.use(lambda mine: mine.getType())
    callers.finish()
    link.leave()
    assert link.wait_closed(LONG)
