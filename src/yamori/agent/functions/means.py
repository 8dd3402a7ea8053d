"""Which parts for shaping the kernel has: tried out where it hurts nobody, and nothing is left of it."""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from yamori.agent.functions import traffic
from yamori.agent.functions.netlink import KernelRefused, Link, Netlink, links, make_link, remove_link
from yamori.agent.functions.shaping import Means, Way
from yamori.agent.functions.traffic import Match
from yamori.model.errors import Failed

_NEW_NETWORK = 0x4000_0000
"""CLONE_NEWNET, <linux/sched.h>."""
_RATE = 1_000_000
_TRIAL_KINDS = ("ifb", "dummy", "veth")


def find_out() -> Means:
    """Try each part once. Raises Failed when there is no place to try it.

    With CAP_SYS_ADMIN in a network namespace that ends with its thread; else, with CAP_NET_ADMIN, on an interface
    of no use to anybody, which is removed again.
    """
    outcome: list[Means | Failed] = []

    def apart() -> None:
        try:
            outcome.append(_apart() if _unshared() else _aside())
        except Failed as error:
            outcome.append(error)

    thread = threading.Thread(target=apart, name="shaping trial")
    thread.start()
    thread.join()
    if not outcome:
        raise Failed("the trial of the kernel's traffic control broke off")
    if isinstance(outcome[0], Failed):
        raise outcome[0]
    return outcome[0]


def _unshared() -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK) == 0)


def _apart() -> Means:
    with Netlink() as netlink:
        loopback = next(link for link in links(netlink).values() if link.name == "lo")
        return _tried(netlink, loopback)


def _aside() -> Means:
    name = f"yamori-t{os.getpid() % 10_000_000}"
    with Netlink() as netlink:
        refusal: KernelRefused | None = None
        for kind in _TRIAL_KINDS:
            try:
                make_link(netlink, name, kind)
            except KernelRefused as error:
                refusal = error
                continue
            made = next(link for link in links(netlink).values() if link.name == name)
            try:
                return _tried(netlink, made)
            finally:
                remove_link(netlink, made.index)
        if refusal is not None and refusal.errno == errno.EPERM:
            return Means(queue=False, way=None, match=None, missing="the agent lacks CAP_NET_ADMIN")
        raise Failed(f"the kernel's traffic control cannot be tried out: {refusal}")


class _Trial:
    """Attempts on one interface, and the words of those that were refused."""

    def __init__(self, netlink: Netlink, link: Link) -> None:
        self._netlink = netlink
        self._link = link
        self.refusals: list[str] = []

    def _works(self, part: str, attempt: Callable[[], None]) -> bool:
        try:
            attempt()
        except KernelRefused as error:
            self.refusals.append(f"{part}: {error.message}")
            return False
        return True

    def queue(self) -> bool:
        return self._works("sch_tbf", partial(traffic.queue_at, self._netlink, self._link.index, _RATE, 1500))

    def ingress(self) -> bool:
        return self._works("sch_ingress", partial(traffic.open_ingress, self._netlink, self._link.index))

    def ifb(self) -> bool:
        return self._works("ifb", partial(_try_ifb, self._netlink))

    def police(self, match: Match) -> bool:
        attempt = partial(traffic.police, self._netlink, self._link.index, "ingress", match, _RATE)
        return self._works(f"cls_{match} with act_police", attempt)

    def redirect(self, match: Match) -> bool:
        here = self._link.index
        attempt = partial(traffic.redirect, self._netlink, here, "ingress", match, here)
        return self._works(f"cls_{match} with act_mirred", attempt)


def _tried(netlink: Netlink, link: Link) -> Means:
    trial = _Trial(netlink, link)
    queue = trial.queue()
    why_no_queue = "; ".join(trial.refusals)
    way, match = None, None
    if trial.ingress():
        match = next((each for each in Match if trial.police(each)), None)
        way = None if match is None else Way.POLICE
        if way is None and queue and trial.ifb():
            match = next((each for each in Match if trial.redirect(each)), None)
            way = None if match is None else Way.DETOUR
    missing = why_no_queue if way else "; ".join(trial.refusals)
    return Means(queue=queue, way=way, match=match, missing=missing[:400])


def _try_ifb(netlink: Netlink) -> None:
    name = f"yamori-u{os.getpid() % 10_000_000}"
    make_link(netlink, name, "ifb")
    made = next(link for link in links(netlink).values() if link.name == name)
    with suppress(KernelRefused):
        remove_link(netlink, made.index)
