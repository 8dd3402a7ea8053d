"""Limits on a VM's cards: bytes per second towards the guest and from it, by the kernel's traffic control."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from yamori.agent.functions import shaping
from yamori.agent.functions.bounds import Told, Wanted, agreed
from yamori.agent.functions.cards import Cards, on_bridges
from yamori.agent.functions.means import find_out
from yamori.agent.functions.netlink import Link, Netlink, links
from yamori.agent.functions.shaping import Means, Way
from yamori.agent.functions.traffic import MOST
from yamori.model.errors import Failed, Unsupported, YamoriError
from yamori.model.limits import LimitKind
from yamori.model.support import Cell, Level
from yamori.model.vm import VM

_IN, _OUT = LimitKind.NET_IN, LimitKind.NET_OUT
_WAYS = {
    Way.POLICE: "packets above the rate are dropped as they come from the guest (act_police)",
    Way.DETOUR: "packets from the guest pass a queue on an ifb interface (this kernel has no act_police)",
}
_READ: Mapping[LimitKind, Callable[[Netlink, Link], int | None]] = {
    _IN: shaping.read_towards,
    _OUT: shaping.read_from,
}
_threads = threading.Lock()


class NetBounds:
    """All cards of one VM, each held to the same rate. ``lock`` keeps two agents of one host apart."""

    kinds = frozenset({_IN, _OUT})

    def __init__(self, cards: Cards, bridges: tuple[str, ...], lock: Path) -> None:
        self._cards = cards
        self._bridges = bridges
        self._lock = lock
        self._means: Means | None = None

    def cells(self) -> Mapping[LimitKind, Cell]:
        """Try the kernel's parts out, once with success."""
        try:
            means = self._found()
        except YamoriError as error:
            return dict.fromkeys(self.kinds, Cell(level=Level.UNKNOWN, reason=error.message[:400]))
        missing = means.missing or "the kernel's traffic control lacks what it takes"
        none = Cell(level=Level.NONE, reason=missing)
        towards = Cell(level=Level.AGENT, reason="a queue on the card's interface (sch_tbf)")
        outwards = none if means.way is None else Cell(level=Level.AGENT, reason=_WAYS[means.way])
        return {_IN: towards if means.queue else none, _OUT: outwards}

    def read(self, vm: VM) -> Told:
        """Ask the kernel."""
        told: dict[LimitKind, float | YamoriError | None] = {}
        with Netlink() as netlink:
            for kind, read in _READ.items():
                try:
                    told[kind] = agreed({c.name: _number(read(netlink, c)) for c in self._of(netlink, vm)})
                except YamoriError as error:
                    told[kind] = error
        return told

    def plan(self, vm: VM, wanted: Wanted) -> Callable[[], None]:
        """Look the cards up and check that no other hand shapes them."""
        means = self._found()
        for kind, there in ((_IN, means.queue), (_OUT, means.way is not None)):
            if wanted.get(kind) is not None and not there:
                raise Unsupported(f"limits.{kind}", means.missing, subject=vm.id)
        with Netlink() as netlink:
            cards = self._of(netlink, vm)
            for card in cards:
                shaping.check(netlink, card, towards=_IN in wanted, outwards=_OUT in wanted)
        return partial(self._apply, cards, wanted, means)

    def close(self) -> None:
        """Nothing is held open."""

    def tidy(self) -> None:
        """Remove what a killed agent has left unfinished."""
        with self._alone(), Netlink() as netlink:
            shaping.sweep(netlink)

    def _apply(self, cards: list[Link], wanted: Wanted, means: Means) -> None:
        with self._alone(), Netlink() as netlink:
            shaping.sweep(netlink)
            for card in cards:
                if _IN in wanted:
                    shaping.set_towards(netlink, card, _rate(wanted[_IN]))
                if _OUT in wanted:
                    shaping.set_from(netlink, card, _rate(wanted[_OUT]), means)

    def _of(self, netlink: Netlink, vm: VM) -> list[Link]:
        present = links(netlink)
        return on_bridges(self._cards(vm, present), present, self._bridges)

    def _found(self) -> Means:
        if self._means is None or self._means.way is None:
            self._means = find_out()
        return self._means

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out others who would take a half-made detour for a leftover."""
        try:
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Failed(f"cannot be opened: {error.strerror}", subject=str(self._lock)) from error
        try:
            with _threads:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
        finally:
            os.close(handle)


def _number(rate: int | None) -> float | None:
    return None if rate is None else float(rate)


def _rate(value: float | None) -> int | None:
    return None if value is None else max(1, min(MOST, round(value)))
