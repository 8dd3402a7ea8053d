"""Bounds on what goes to and comes from a VM, at its interface on this host.

Towards the guest is the way out of the interface: a token bucket. From the guest is the way in, where nothing can
wait: it is policed, or sent round through an interface of ours that has a queue.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from yamori.agent.functions import traffic
from yamori.agent.functions.netlink import KernelRefused, Link, Netlink, links, make_link, remove_link, start_link
from yamori.agent.functions.traffic import Filter, Match, Queueing
from yamori.model.errors import Conflict, Unsupported

_DETOUR = re.compile(r"yamori-(\d{1,8})")
_DETOUR_KIND = "ifb"
_OURS = (traffic.HANDLE, traffic.HANDLE_OVER_NONE)


class Way(StrEnum):
    """How what comes from a guest is bounded."""

    POLICE = "police"
    """Packets above the rate are dropped (act_police)."""
    DETOUR = "detour"
    """Packets pass a queue on an ifb interface of ours (act_mirred, ifb, sch_tbf)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What this kernel has for shaping; a None comes with a reason in ``missing``."""

    queue: bool
    way: Way | None
    match: Match | None
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """What is there on the way into an interface."""

    kind: str | None
    ours: Filter | None


def read_towards(netlink: Netlink, link: Link) -> int | None:
    """Return what bounds the way to the guest, bytes per second. Raises Conflict when another hand shapes it."""
    queue = _queue(netlink, link)
    return queue.rate if queue is not None and queue.handle in _OURS else None


def read_from(netlink: Netlink, link: Link) -> int | None:
    """Return what bounds the way from the guest, bytes per second. Raises Conflict as ``read_towards``."""
    ours = _gate(netlink, link).ours
    if ours is None or ours.target is None:
        return None if ours is None else ours.rate
    detour = links(netlink).get(ours.target)
    if detour is None or not _is_detour(detour):
        raise Conflict(f"{link.name}: our filter leads to an interface that is not ours")
    return read_towards(netlink, detour)


def set_towards(netlink: Netlink, link: Link, rate: int | None) -> None:
    """Bound the way to the guest, or free it. Raises Conflict, KernelRefused."""
    queue = _queue(netlink, link)
    ours = queue is not None and queue.handle in _OURS
    if rate is not None:
        handle = traffic.HANDLE if queue is None else queue.handle if ours else traffic.HANDLE_OVER_NONE
        traffic.queue_at(netlink, link.index, rate, link.mtu, handle)
    elif queue is not None and ours:
        traffic.unqueue(netlink, link.index, queue.handle)


def set_from(netlink: Netlink, link: Link, rate: int | None, means: Means) -> None:
    """Bound the way from the guest, or free it. Raises Conflict, Unsupported, KernelRefused."""
    gate = _gate(netlink, link)
    if rate is None:
        _free(netlink, link, gate)
        return
    if means.way is None or means.match is None:
        raise Unsupported("limits.net_out", means.missing)
    if means.way is Way.POLICE:
        _police(netlink, link, gate, rate, means.match)
    else:
        _detour(netlink, link, gate, rate, means.match)


def sweep(netlink: Netlink) -> None:
    """Remove detours whose interface is gone, or which a killed agent has not finished to build."""
    present = links(netlink)
    for detour in present.values():
        if not _is_detour(detour):
            continue
        origin = present.get(int(detour.name.removeprefix("yamori-")))
        try:
            gate = None if origin is None else _gate(netlink, origin)
        except Conflict:
            gate = None
        if gate is None or gate.ours is None or gate.ours.target != detour.index:
            with suppress(KernelRefused):  # gone meanwhile
                remove_link(netlink, detour.index)
            if origin is not None and gate is not None and gate.kind == "ingress" and gate.ours is None:
                traffic.close_ingress(netlink, origin.index)


def check(netlink: Netlink, link: Link, *, towards: bool, outwards: bool) -> None:
    """Find out before anything is changed whether another hand shapes an interface. Raises Conflict."""
    if towards:
        _queue(netlink, link)
    if outwards:
        _gate(netlink, link)


def _queue(netlink: Netlink, link: Link) -> Queueing | None:
    """Return the queue at an interface that somebody has asked for: ours, or explicitly none."""
    for queue in traffic.queueings(netlink, link.index):
        if queue.parent != traffic.ROOT or queue.handle == 0:
            continue  # below the root, or the kernel's own, which has no number
        if queue.kind == traffic.NO_QUEUE or (queue.handle in _OURS and queue.kind == "tbf"):
            return queue
        raise Conflict(
            f"{link.name} is shaped by another hand ({queue.kind} {queue.handle >> 16:x}:)",
            mend="remove the other bandwidth limit of this card, for instance <bandwidth> in its definition",
        )
    return None


def _gate(netlink: Netlink, link: Link) -> _Gate:
    kind = next((q.kind for q in traffic.queueings(netlink, link.index) if q.parent == traffic.INGRESS), None)
    found = [] if kind is None else traffic.filters(netlink, link.index, kind)
    for each in found:
        if each.priority != traffic.PRIORITY:
            raise Conflict(
                f"what comes in at {link.name} is filtered by another hand ({each.kind} {each.action})",
                mend="remove the other filters on the interface's ingress",
            )
    return _Gate(kind=kind, ours=found[0] if found else None)


def _free(netlink: Netlink, link: Link, gate: _Gate) -> None:
    if gate.ours is not None:
        traffic.unhang(netlink, link.index, gate.kind or "")
    if gate.kind == "ingress":
        traffic.close_ingress(netlink, link.index)
    _drop_detour(netlink, link)


def _police(netlink: Netlink, link: Link, gate: _Gate, rate: int, match: Match) -> None:
    if gate.ours is not None and gate.ours.rate == rate:
        return
    if gate.kind is None:
        traffic.open_ingress(netlink, link.index)
    kind = gate.kind or "ingress"
    if gate.ours is not None:
        traffic.unhang(netlink, link.index, kind)  # a filter that takes everything cannot be changed in place
    traffic.police(netlink, link.index, kind, match, rate)
    _drop_detour(netlink, link)


def _detour(netlink: Netlink, link: Link, gate: _Gate, rate: int, match: Match) -> None:
    detour = _find_detour(links(netlink), link)
    if detour is None:
        make_link(netlink, f"yamori-{link.index}", _DETOUR_KIND)
        detour = _find_detour(links(netlink), link)
        if detour is None:
            raise Conflict(f"the interface for {link.name} vanished while it was made")
    start_link(netlink, detour, mtu=link.mtu, alias=f"yamori: what comes from {link.name}")
    traffic.queue_at(netlink, detour.index, rate, link.mtu)
    if gate.ours is not None and gate.ours.target == detour.index:
        return
    if gate.kind is None:
        traffic.open_ingress(netlink, link.index)
    kind = gate.kind or "ingress"
    if gate.ours is not None:
        traffic.unhang(netlink, link.index, kind)
    traffic.redirect(netlink, link.index, kind, match, detour.index)


def _is_detour(link: Link) -> bool:
    return link.kind == _DETOUR_KIND and _DETOUR.fullmatch(link.name) is not None


def _find_detour(present: Mapping[int, Link], link: Link) -> Link | None:
    return next((d for d in present.values() if _is_detour(d) and d.name == f"yamori-{link.index}"), None)


def _drop_detour(netlink: Netlink, link: Link) -> None:
    detour = _find_detour(links(netlink), link)
    if detour is not None:
        remove_link(netlink, detour.index)
