"""Keeps the list of troubles: adopts, follows, opens and closes cases for one reading."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from yamori.manifest.module import Hold
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.modules.guard import cases, holding, scenes
from yamori.modules.guard.attribution import Suspect, suspects
from yamori.modules.guard.baseline import Use
from yamori.modules.guard.cases import CONTENTION, OVERLOAD, UNUSUAL, Case, Sight
from yamori.modules.guard.memory import GuardMemory
from yamori.modules.guard.nature import Nature, judge
from yamori.modules.guard.reading import Reading
from yamori.modules.guard.settings import GuardSettings
from yamori.modules.guard.standing import RESOURCES

MOST_CAUSES = 3
"""At most so many causes are named at once on one host for one resource."""

MOST_OF_GROWTH = 0.6
"""Causes that together made less of the growth than this do not stand out: the host is simply full."""

Place = tuple[HostId, int]


class Docket:
    """Works through one reading. Not shared, not kept: the cases that it leaves behind are values."""

    def __init__(self, reading: Reading, memory: GuardMemory, settings: GuardSettings) -> None:
        self._reading = reading
        self._memory = memory
        self._settings = settings

        self._paging: dict[HostId, set[VMId | None]] = defaultdict(set)
        for case in memory.cases.values():
            if case.resource == Use.MEMORY and self._young(case):
                self._paging[case.host].add(case.cause)

    def work(self) -> dict[str, Case]:
        """Return all cases after this reading, those that closed just now among them."""
        old = {**self._memory.cases, **self._adopted()}
        by_place: dict[Place, list[Case]] = defaultdict(list)
        for case in old.values():
            if case.kind != UNUSUAL:
                by_place[(case.host, case.resource)].append(case)
        places = dict.fromkeys((*by_place, *self._troubled()))
        found: dict[str, Case] = {}
        for place in places:
            for case in self._at(place, by_place[place]):
                found[case.key] = case
        found = _one_voice(found, self._memory.readings, self._settings)
        busy = {case.cause for case in found.values()}
        for case in self._unusual([c for c in old.values() if c.kind == UNUSUAL], busy):
            found[case.key] = case
        return found

    def _troubled(self) -> list[Place]:
        reading = self._reading
        places: list[Place] = []
        for resource in range(len(RESOURCES)):
            rows = np.flatnonzero(reading.suffers[resource])
            hosts = np.unique(reading.frame.host_of[rows]).tolist()
            places += [(reading.frame.hosts[h], resource) for h in hosts]
        return places

    def _adopted(self) -> dict[str, Case]:
        """Take up holds of ours that no case knows, as after a restart: each must have somebody who ends it."""
        known = {(case.cause, case.resource) for case in self._memory.cases.values()}
        taken: dict[str, Case] = {}
        for vm, hold in self._reading.view.holds.items():
            found = self._reading.view.vms.get(vm)
            if hold.finding_key is None or found is None or found.host is None:
                continue
            for resource in range(len(RESOURCES)):
                squeezed = resource == Use.CPU and (vm, Use.MEMORY.value) in known
                if holding.binds(hold, resource) and (vm, resource) not in known and not squeezed:
                    name = cases.key(CONTENTION, found.host, RESOURCES[resource], vm)
                    taken[name] = Case(
                        key=name,
                        id=cases.identity(name, hold.since),
                        kind=CONTENTION,
                        host=found.host,
                        resource=resource,
                        cause=vm,
                        opened_at=hold.since,
                        confidence=self._settings.confidence,
                        asked=dict(hold.asked),
                    )
        return taken

    def _at(self, place: Place, open_cases: list[Case]) -> Iterable[Case]:
        host, resource = place
        index = self._reading.numbers.get(host)
        if index is None:
            return [replace(case, closed=True) for case in open_cases]
        rows = self._reading.groups.rows(index)
        here = [self._reading.frame.vms[row] for row in rows.tolist()]
        names = dict(zip(here, rows.tolist(), strict=True))
        held = self._held(names, resource)
        excused = np.array([vm in held for vm in here], bool)
        causes = {case.cause for case in open_cases if case.cause is not None}
        named = self._named(place, rows, excused, open_cases)
        fresh = [s for s in named if self._reading.frame.vms[rows[s.row]] not in causes]
        causes |= {self._reading.frame.vms[rows[s.row]] for s in fresh}
        hurt = self._reading.suffers[resource, rows] & ~excused
        hurt &= ~np.array([vm in causes for vm in here], bool)
        opened = self._opened(place, rows, fresh) if hurt.any() else []
        named_now = bool(opened)
        if hurt.any() and not opened and not open_cases:
            opened = [self._overload(place)]
        return [self._followed(c, rows, hurt, names, named=named_now) for c in (*open_cases, *opened)]

    def _held(self, names: Mapping[VMId, int], resource: int) -> frozenset[VMId]:
        """Return the VMs that wait because somebody limited them: they suffer from no neighbour."""
        holds = self._reading.view.holds
        return frozenset(vm for vm in holds if vm in names and holding.binds(holds[vm], resource))

    def _named(
        self, place: Place, rows: NDArray[np.int64], excused: NDArray[np.bool_], open_cases: list[Case]
    ) -> list[Suspect]:
        """Name causes, unless a throttle here is still too young to be judged.

        A VM that has just been named for memory is not named for its disk meanwhile: a host that pages makes its
        disks slow as well, and that passes by itself.
        """
        host, resource = place
        if any(self._young(c) for c in open_cases) or not self._reading.suffers[resource, rows].any():
            return []
        paging = self._paging.get(host, set()) if resource == Use.DISK else set()
        if paging:
            excused = excused | np.array([self._reading.frame.vms[row] in paging for row in rows.tolist()], bool)
        scene = scenes.scene(self._reading, self._memory, rows, resource, ~excused)
        named = suspects(replace(scene, lack=np.where(excused, 0.0, scene.lack)), self._settings.confidence)
        named = named[:MOST_CAUSES]
        return named if sum(s.rise for s in named) >= MOST_OF_GROWTH else []

    def _young(self, case: Case) -> bool:
        if case.kind != CONTENTION:
            return False
        return (case.lasted_s if case.asked is None else case.held_s) < 2 * self._settings.settle_s

    def _opened(self, place: Place, rows: NDArray[np.int64], named: list[Suspect]) -> list[Case]:
        host, resource = place
        opened = []
        for suspect in named:
            vm = self._reading.frame.vms[rows[suspect.row]]
            name = cases.key(CONTENTION, host, RESOURCES[resource], vm)
            opened.append(
                Case(
                    key=name,
                    id=cases.identity(name, self._reading.view.now),
                    kind=CONTENTION,
                    host=host,
                    resource=resource,
                    cause=vm,
                    opened_at=self._reading.view.now,
                    confidence=suspect.confidence,
                    suspect=suspect,
                    before=scenes.served_before(
                        self._reading, self._memory, rows, resource, self._settings.of_ticks + 1
                    ),
                )
            )
        return opened

    def _overload(self, place: Place) -> Case:
        host, resource = place
        name = cases.key(OVERLOAD, host, RESOURCES[resource], None)
        now = self._reading.view.now
        told = self._settings.overload_s <= 0
        return Case(
            key=name,
            id=cases.identity(name, now),
            kind=OVERLOAD,
            host=host,
            resource=resource,
            cause=None,
            opened_at=now,
            confidence=1.0,
            told=told,
        )

    def _followed(
        self,
        case: Case,
        rows: NDArray[np.int64],
        hurt: NDArray[np.bool_],
        names: Mapping[VMId, int],
        *,
        named: bool,
    ) -> Case:
        reading, resource = self._reading, case.resource
        row = None if case.cause is None else names.get(case.cause)
        hold = self._hold(case)
        if case.before:
            allowed = np.array([case.before.get(reading.frame.vms[r], 0.0) for r in rows.tolist()])
            hurt = hurt & ~(reading.measured[resource, rows] <= allowed)
        amounts = scenes.lack(reading, rows, resource, hurt)
        with np.errstate(invalid="ignore"):
            excess = np.where(hurt, reading.measured[resource, rows] / reading.bounds[resource, rows], 0.0)
        elapsed = float(reading.rates.elapsed_s[reading.frame.host_of[rows[0]]]) if len(rows) else 0.0
        superseded = case.kind == OVERLOAD and named
        sight = Sight(
            seconds=0.0 if np.isnan(elapsed) else elapsed,
            suffering=int(hurt.sum()),
            lack=float(amounts.sum()),
            excess=float(np.nan_to_num(excess).max(initial=0.0)),
            victims=tuple(reading.frame.vms[r] for r in rows[hurt].tolist()),
            hold=hold,
            pressing=None if hold is None or row is None else holding.presses(reading, row, hold, resource),
            present=not superseded and (case.cause is None or row is not None),
            moving=case.cause is not None and case.cause in reading.view.moving,
        )
        followed = cases.follow(case, sight, self._settings)
        unsure = case.judgement is None or case.judgement.nature is Nature.UNKNOWN
        if row is not None and hold is None and sight.suffering and unsure:
            followed = replace(
                followed, judgement=judge(scenes.conduct(reading, self._memory, int(row), resource))
            )
        return followed

    def _hold(self, case: Case) -> Hold | None:
        hold = holding.ours(self._reading.view.holds, case.cause)
        return hold if hold is not None and holding.binds(hold, case.resource) else None

    def _unusual(self, old: Iterable[Case], busy: set[VMId | None]) -> Iterable[Case]:
        """Tell of VMs that have done for long what they never did; ``busy`` are those with a case already."""
        reading, baseline = self._reading, self._memory.baseline
        if baseline is None:
            return []
        found = []
        open_now = {case.key: case for case in old}
        rows = np.flatnonzero(baseline.odd_s >= self._settings.unusual_s).tolist()
        lasting: dict[str, tuple[int, int]] = {}
        for row in rows[: 4 * self._settings.unusual_most]:
            resource = int(np.nanargmax(reading.odd[:, row])) if not np.isnan(reading.odd[:, row]).all() else 0
            vm, host = reading.frame.vms[row], reading.frame.hosts[reading.frame.host_of[row]]
            if vm not in busy:
                lasting[cases.key(UNUSUAL, host, "use", vm)] = (row, resource)
        for name, case in open_now.items():
            found.append(replace(case, lasted_s=case.lasted_s, closed=name not in lasting))
        room = self._settings.unusual_most - sum(not c.closed for c in found)
        for name, (row, resource) in lasting.items():
            if name not in open_now and room > 0:
                room -= 1
                found.append(
                    Case(
                        key=name,
                        id=cases.identity(name, reading.view.now),
                        kind=UNUSUAL,
                        host=reading.frame.hosts[reading.frame.host_of[row]],
                        resource=resource,
                        cause=reading.frame.vms[row],
                        opened_at=reading.view.now,
                        confidence=0.5,
                        judgement=judge(scenes.conduct(reading, self._memory, row, resource)),
                    )
                )
        return found


def _one_voice(found: dict[str, Case], reading: int, settings: GuardSettings) -> dict[str, Case]:
    """Let one trouble of each cause speak: a throttle replaces the one before, so two answers would fight.

    First one that ends, then one that suffers without a limit, then one whose limit has had its time; the
    others in turn. The silent ones stay open.
    """
    by_cause: dict[VMId, list[Case]] = defaultdict(list)
    for case in found.values():
        if case.kind == CONTENTION and case.cause is not None:
            by_cause[case.cause].append(case)
    told = dict(found)
    for several in by_cause.values():
        alone = all(case.resource != Use.CPU for case in several)
        ranked = sorted(several, key=lambda c: (_rank(c, settings), c.spoke))
        for case in ranked:
            first = case is ranked[0]
            capped = case.asked is not None and LimitKind.CPU_CAP in case.asked
            told[case.key] = replace(
                case,
                silent=not first,
                closed=case.closed and first,
                spoke=reading if first else case.spoke,
                squeezed=alone and capped and case.resource == Use.MEMORY,
            )
    return told


def _rank(case: Case, settings: GuardSettings) -> int:
    if case.closed:
        return 0
    if case.suffering:
        return 1 if case.asked is None else 2 if case.held_s >= settings.settle_s else 3
    return 3
