"""The fleet by host, small enough for a screen: counts for all, and the VMs that need a look first."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from yamori.control.facade import Contact, EndpointView, Standing, VMView
from yamori.model.host import Host
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.vm import PowerState
from yamori.web.standing import WORST_FIRST, standing_of, strain

HOSTS = 200
"""Most hosts that one overview shows; those with trouble come first."""
BUDGET = 1_000
"""Most tiles that one overview holds, over all hosts."""
FULL_DISK_BYTES_S = 1e9
FULL_NET_BYTES_S = 1.25e9
"""What fills a tile's bar: about an NVMe disk, and a card of 10 Gbit/s. The scale is logarithmic from 1 kB/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One VM at a glance. ``bars`` are fractions between 0 and 1; None means unknown, never zero."""

    id: VMId
    name: str
    state: PowerState
    standing: Standing
    sla: str | None
    bars: Mapping[str, float | None]
    held_until: datetime | None
    drifted: bool
    worst: str | None
    worst_value: float | None
    worst_bound: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSummary:
    """One host and the VMs on it. ``tiles`` are all of them, or those in the worst standing where ``more`` > 0."""

    id: HostId | None
    host: Host | None
    endpoint: EndpointName
    contact: Contact
    error: str | None
    gap: str | None
    tick_s: float | None
    vms: int
    held: int
    standings: Mapping[Standing, int]
    cpu_cores_used: float | None
    tiles: tuple[Tile, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSummary:
    """The whole fleet. ``hosts_more`` is how many hosts are left out of ``hosts``; the counts are of all."""

    vms: int
    held: int
    standings: Mapping[Standing, int]
    endpoints: Mapping[Contact, int]
    hosts: tuple[HostSummary, ...]
    hosts_more: int


@dataclass(slots=True)
class _Place:
    host: Host | None
    endpoint: EndpointView | None
    views: list[VMView] = field(default_factory=list)
    standings: Counter[Standing] = field(default_factory=Counter)

    def trouble(self) -> tuple[bool, int, int]:
        down = self.endpoint is None or self.endpoint.contact is not Contact.UP
        return (not down, -self.standings[Standing.BROKEN], -self.standings[Standing.UNKNOWN])


Key = tuple[EndpointName, HostId | None]


def ordered(views: Sequence[VMView]) -> list[VMView]:
    """Put VMs in the order in which every list shows them: host, name, id."""
    return sorted(views, key=lambda v: (v.vm.host or "", v.vm.name, v.vm.id))


def matches(view: VMView, search: str) -> bool:
    """Say whether a VM's name, id, host or one of its labels holds the text; the empty text matches all."""
    wanted = search.casefold()
    if not wanted:
        return True
    words = (view.vm.name, view.vm.id, view.vm.host or "", *(f"{k}={v}" for k, v in view.vm.labels.items()))
    return any(wanted in word.casefold() for word in words)


def summarise(
    views: Sequence[VMView], endpoints: Sequence[EndpointView], *, search: str = "", tiles: int = 48
) -> FleetSummary:
    """Gather VMs (already in order) by host. ``tiles`` is how many VMs a host may show one by one."""
    places = _places(views, endpoints, search)
    shown = sorted(places.items(), key=lambda p: (*p[1].trouble(), str(p[0][0]), str(p[0][1])))[:HOSTS]
    each = min(tiles, BUDGET // max(1, len(shown)))
    standings: Counter[Standing] = Counter()
    for place in places.values():
        standings.update(place.standings)
    return FleetSummary(
        vms=standings.total(),
        held=sum(_held(p) for p in places.values()),
        standings={s: standings[s] for s in WORST_FIRST},
        endpoints={c: sum(e.contact is c for e in endpoints) for c in Contact},
        hosts=tuple(
            _summary(key, place, each) for key, place in sorted(shown, key=lambda p: (str(p[0][0]), str(p[0][1])))
        ),
        hosts_more=len(places) - len(shown),
    )


def _places(views: Sequence[VMView], endpoints: Sequence[EndpointView], search: str) -> dict[Key, _Place]:
    by_name = {e.name: e for e in endpoints}
    places: dict[Key, _Place] = {(e.name, h.id): _Place(h, e) for e in endpoints for h in e.hosts}
    places |= {(e.name, None): _Place(None, e) for e in endpoints if not e.hosts}
    for view in views:
        if not matches(view, search):
            continue
        key = (view.endpoint, view.vm.host)
        place = places.get(key)
        if place is None:
            place = places[key] = _Place(None, by_name.get(view.endpoint))
        place.views.append(view)
        place.standings[standing_of(view)] += 1
    if not search:
        return places
    return {key: place for key, place in places.items() if place.views}


def _held(place: _Place) -> int:
    return sum(v.hold is not None for v in place.views)


def _summary(key: Key, place: _Place, tiles: int) -> HostSummary:
    used = [v.rates.get("cpu_cores") for v in place.views]
    known = [u for u in used if u is not None]
    chosen: Sequence[VMView] = place.views
    if len(chosen) > tiles:
        worst = heapq.nsmallest(tiles, range(len(chosen)), key=lambda i: (_urgency(chosen[i]), i))
        chosen = [place.views[i] for i in sorted(worst)]
    end = place.endpoint
    return HostSummary(
        id=key[1],
        host=place.host,
        endpoint=key[0],
        contact=Contact.DOWN if end is None else end.contact,
        error=None if end is None else end.error,
        gap=None if end is None else end.gap,
        tick_s=None if end is None else end.tick_s,
        vms=len(place.views),
        held=_held(place),
        standings={s: place.standings[s] for s in WORST_FIRST},
        cpu_cores_used=sum(known) if known else None,
        tiles=tuple(tile(v) for v in chosen),
        more=len(place.views) - len(chosen),
    )


def _urgency(view: VMView) -> tuple[int, float]:
    """Order by who needs a look: broken, held, unknown, kept; then by how far the worst objective is strained."""
    rank = 2 * WORST_FIRST.index(standing_of(view))
    if view.hold is not None:
        rank = min(rank, 1)
    return rank, -max((strain(s) for s in view.served), default=0.0)


def tile(view: VMView) -> Tile:
    """Make a tile of a VM."""
    rates, vm = view.rates, view.vm
    net = [n for n in (rates.get("net_rx_bytes_s"), rates.get("net_tx_bytes_s")) if n is not None]
    worst = max((s for s in view.served if s.bound is not None), key=strain, default=None)
    return Tile(
        id=vm.id,
        name=vm.name,
        state=vm.state,
        standing=standing_of(view),
        sla=vm.labels.get("sla"),
        bars={
            "cpu": _share(rates.get("cpu_cores"), vm.vcpus),
            "memory": _share(rates.get("memory_resident_bytes"), vm.memory_max_bytes),
            "disk": _log_share(rates.get("disk_bytes_s"), FULL_DISK_BYTES_S),
            "net": _log_share(sum(net) if net else None, FULL_NET_BYTES_S),
        },
        held_until=None if view.hold is None else view.hold.expires_at,
        drifted=bool(view.drift),
        worst=None if worst is None else worst.objective,
        worst_value=None if worst is None else worst.value,
        worst_bound=None if worst is None else worst.bound,
    )


def _share(value: float | None, full: float) -> float | None:
    if value is None or math.isnan(value) or full <= 0:
        return None
    return min(1.0, max(0.0, value / full))


def _log_share(value: float | None, full: float, nothing: float = 1e3) -> float | None:
    if value is None or math.isnan(value):
        return None
    return min(1.0, math.log(max(value, nothing) / nothing) / math.log(full / nothing))
