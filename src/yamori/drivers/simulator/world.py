"""A world of hosts and VMs: its state, its time, and what may be done to it by hand. Sessions look into it."""

import itertools
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from yamori.drivers.simulator import laws, sending, service
from yamori.drivers.simulator.clock import Clock
from yamori.drivers.simulator.columns import NO_LIMIT, State, extend, rows
from yamori.drivers.simulator.demand import Demand, Profile
from yamori.drivers.simulator.faults import Faults
from yamori.drivers.simulator.feed import Event, Feed
from yamori.drivers.simulator.hardware import hardware
from yamori.drivers.simulator.lapses import Lapses
from yamori.drivers.simulator.moves import Moves
from yamori.drivers.simulator.settings import VMShape, WorldShape
from yamori.model.change import ChangeKind
from yamori.model.errors import Conflict, Invalid, NotFound
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.migration import MigrationPhase

_numbers = itertools.count(1)
_MAC_PREFIX = "52:54:00"


class World:
    """The executable specification of a hypervisor. Not thread-safe: one thread at a time.

    The same shape and the same calls in the same order give the same world, bit for bit.
    """

    def __init__(self, shape: WorldShape | None = None, *, name: str = "world") -> None:
        """Build the hosts and VMs of a shape, all running with a modest constant demand."""
        self.shape = shape or WorldShape()
        self.name = name
        self.identity = f"{name}.{next(_numbers)}"
        """Tells this world apart from every other one in the process."""
        self.clock = Clock()
        self.hardware = hardware(self.shape)
        self.faults = Faults()
        self.feed = Feed()
        self.moves = Moves()
        self.lapses = Lapses()
        self.layout = 0
        """Rises whenever a VM appears, vanishes, starts, stops or moves."""
        self.movers: list[object] = []
        """Who moves this world's time with real time; the first one does."""
        self._random = np.random.default_rng(self.shape.seed)
        count = self.shape.hosts * self.shape.vms_per_host
        where = np.repeat(np.arange(self.shape.hosts), self.shape.vms_per_host).astype(np.int32)
        self.columns = rows(count, host=where, shape=self.shape.vm)
        self.names: list[str] = [f"vm-{i:06d}" for i in range(count)]
        self.ids: list[VMId] = [self._new_id() for _ in range(count)]
        self.labels: list[Mapping[str, str]] = list(itertools.islice(self._label_cycle(), count))
        self._rows = {vm_id: row for row, vm_id in enumerate(self.ids)}
        self._profiles: dict[int, tuple[float, Profile]] = {}
        self.pins: dict[int, frozenset[int]] = {}
        self.set_demands(self.ids, Demand())
        self.columns.resident[:] = np.minimum(self.columns.want_working_set_bytes, self.columns.memory_max)
        laws.gauges(self.columns, self.columns.state == State.RUNNING)

    def _new_id(self) -> VMId:
        return VMId(str(uuid.UUID(bytes=self._random.bytes(16), version=4)))

    def _label_cycle(self) -> Iterable[Mapping[str, str]]:
        sla, tenants = self.shape.sla or ("",), self.shape.tenants or ("",)
        pairs = [
            MappingProxyType({k: v for k, v in (("sla", s), ("tenant", t)) if v}) for t in tenants for s in sla
        ]
        return itertools.cycle(pairs)

    # --- looking -----------------------------------------------------------------------------------------

    def row(self, vm: VMId) -> int:
        """Return the row of a VM. Raises NotFound."""
        row = self._rows.get(vm)
        if row is None or self.columns.state[row] == State.GONE:
            raise NotFound("there is no such VM in the simulated world", subject=str(vm)[:100])
        return row

    def vms(self, host: str | None = None) -> tuple[VMId, ...]:
        """Return the ids of all VMs, or of those on one host, in order of rows."""
        there = self.columns.state != State.GONE
        if host is not None:
            there &= self.columns.host == self.host_row(host)
        return tuple(self.ids[row] for row in np.flatnonzero(there))

    def host_row(self, host: str) -> int:
        """Return the row of a host by its name. Raises NotFound."""
        if host not in self.hardware.names:
            raise NotFound("there is no such host in the simulated world", subject=host[:100])
        return self.hardware.names.index(host)

    def host_of(self, vm: VMId) -> str:
        """Return the name of the host that a VM is on."""
        return self.hardware.names[int(self.columns.host[self.row(vm)])]

    def service(self, vm: VMId) -> service.Service:
        """Measure what a client of this VM's service gets, as of the last step. Raises NotFound."""
        return service.measure(self.columns, self.row(vm))

    def service_latencies(self, vms: Iterable[VMId]) -> NDArray[np.float64]:
        """Measure many: seconds, NaN where nobody answers."""
        return service.latencies(self.columns, np.array([self.row(vm) for vm in vms], dtype=np.intp))

    # --- time --------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps of at most the shape's ``step_s``. Raises Invalid if not finite or negative."""
        if not 0 <= seconds < float("inf"):
            raise Invalid("time passes by a finite number of seconds, forwards")
        left = seconds
        while left > 1e-9:
            dt = min(left, self.shape.step_s)
            self._step(dt)
            left -= dt

    def _step(self, seconds: float) -> None:
        now = self.clock.now
        for row, (since, profile) in self._profiles.items():
            self._write_demand(np.array([row]), profile.at(now - since))
        jitter, count = self.shape.jitter, len(self.columns)
        noise = np.ones(count) if jitter == 0 else self._noise(jitter, count)
        laws.step(self.columns, self.hardware, seconds=seconds, noise=noise, pins=self.pins)
        sending.run(self, seconds)
        self.clock.move(seconds)
        self.lapses.run(self.clock.now, lambda row, kind: float(self.columns.limit(kind)[row]), self._put_back)

    def _put_back(self, row: int, kind: LimitKind, value: float) -> None:
        self.columns.limit(kind)[row] = value
        self.tell(row, ChangeKind.RECONFIGURED)

    def _noise(self, jitter: float, count: int) -> NDArray[np.float64]:
        return np.clip(1.0 + jitter * self._random.standard_normal(count), 0.0, 2.0)

    # --- what guests want --------------------------------------------------------------------------------

    def set_demand(self, vm: VMId, demand: Profile) -> None:
        """Give a VM a demand: a constant ``Demand``, a ``Burst``, a ``Series`` or a profile of your own."""
        row = self.row(vm)
        if isinstance(demand, Demand):
            self._profiles.pop(row, None)
        else:
            self._profiles[row] = (self.clock.now, demand)
        self._write_demand(np.array([row]), demand.at(0.0))

    def set_demands(self, vms: Iterable[VMId], demand: Demand) -> None:
        """Give many VMs the same constant demand at once."""
        where = np.array([self.row(vm) for vm in vms], dtype=np.intp)
        for row in where:
            self._profiles.pop(int(row), None)
        self._write_demand(where, demand)

    def demand(self, vm: VMId) -> Demand:
        """Return what a VM wants now."""
        row = self.row(vm)
        return Demand(**{f.name: float(getattr(self.columns, f"want_{f.name}")[row]) for f in fields(Demand)})

    def _write_demand(self, where: NDArray[np.intp], demand: Demand) -> None:
        for each in fields(Demand):
            getattr(self.columns, f"want_{each.name}")[where] = getattr(demand, each.name)

    # --- what hands may do -------------------------------------------------------------------------------

    def limit(self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None) -> None:
        """Set limits as the hypervisor's own tool would. None lifts. Raises NotFound; checks nothing else."""
        row, c = self.row(vm), self.columns
        before = {kind: float(c.limit(kind)[row]) for kind in limits}
        after = {k: self._unlimited(k, row) if value is None else value for k, value in limits.items()}
        for kind, number in after.items():
            c.limit(kind)[row] = number
        self.lapses.note(row, before, after, None if lapse_s is None else self.clock.now + lapse_s)
        self.tell(row, ChangeKind.RECONFIGURED)

    def _unlimited(self, kind: LimitKind, row: int) -> float:
        if kind is LimitKind.CPU_WEIGHT:
            return 1.0
        return float(self.columns.memory_max[row]) if kind is LimitKind.MEMORY else NO_LIMIT

    def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let a VM run on these CPUs only; None gives back all."""
        row = self.row(vm)
        if cpus is None:
            self.pins.pop(row, None)
        else:
            self.pins[row] = cpus
        self.tell(row, ChangeKind.RECONFIGURED)

    def set_state(self, vm: VMId, state: State, kind: ChangeKind) -> None:
        """Put a VM into a state and tell of it. Leaving memory or beginning anew clears what goes with it."""
        row, c = self.row(vm), self.columns
        began = state is State.RUNNING and c.state[row] in (State.STOPPED, State.CRASHED)
        ended = state in (State.STOPPED, State.CRASHED, State.GONE)
        move = self.moves.running(row)
        if ended and move is not None:
            self.moves.end(move, MigrationPhase.FAILED, "the VM ended while it was being moved")
        c.state[row] = state
        if began:
            # It is a new process, made from the definition: what was set on the old one is gone with it.
            for limit in LimitKind:
                c.limit(limit)[row] = self._unlimited(limit, row)
            self.pins.pop(row, None)
            c.counters[row, :] = 0.0
            c.assigned[row] = c.memory_target[row]
        if ended or began:
            self.lapses.forget(row)
            c.resident[row] = c.paged[row] = 0.0
        laws.gauges(c, c.state == State.RUNNING)
        c.granted_now[row] = c.delay_now[row] = c.latency_now[row] = 0.0
        c.missing_now[row] = c.dropped_now[row] = 0.0
        self.layout += 1
        self.tell(row, kind)
        if state is State.STOPPED and not c.persistent[row]:
            self.vanish(vm)

    def restart(self, vm: VMId) -> None:
        """Press the reset button: the guest begins anew and must touch its memory again."""
        row = self.row(vm)
        self.columns.resident[row] = self.columns.paged[row] = 0.0
        self.tell(row, ChangeKind.RECONFIGURED)

    def crash(self, vm: VMId) -> None:
        """Let a VM die."""
        self.set_state(vm, State.CRASHED, ChangeKind.CRASHED)

    def vanish(self, vm: VMId) -> None:
        """Remove a VM and its definition, as by hand."""
        self.set_state(vm, State.GONE, ChangeKind.UNDEFINED)
        self.pins.pop(self._rows[vm], None)
        self._profiles.pop(self._rows[vm], None)

    def define(
        self,
        host: str,
        *,
        name: str,
        shape: VMShape | None = None,
        labels: Mapping[str, str] | None = None,
        persistent: bool = True,
    ) -> VMId:
        """Define a VM by hand on a host, stopped, and return its id. ``shape`` None: like all the others."""
        row = len(self.columns)
        fresh = rows(1, host=np.array([self.host_row(host)]), shape=shape or self.shape.vm)
        fresh.state[:] = State.STOPPED
        fresh.persistent[:] = persistent
        self.columns = extend(self.columns, fresh)
        self.names.append(name)
        self.labels.append(MappingProxyType(dict(labels or {})))
        vm = self._new_id()
        self.ids.append(vm)
        self._rows[vm] = row
        self._write_demand(np.array([row]), Demand())
        self.layout += 1
        self.tell(row, ChangeKind.DEFINED)
        return vm

    def place(self, vm: VMId, host: str) -> None:
        """Move a VM to another host at once, as by hand or at the end of a migration. Raises Conflict."""
        row, to, c = self.row(vm), self.host_row(host), self.columns
        if c.host[row] == to:
            raise Conflict("the VM is on that host already", subject=vm)
        self.tell(row, ChangeKind.MIGRATED_OUT)
        c.host[row] = to
        c.paged[row] = 0.0
        c.counters[row, :] = 0.0  # it is a new process over there
        self.pins.pop(row, None)
        self.layout += 1
        self.tell(row, ChangeKind.MIGRATED_IN)

    def tell(self, row: int, kind: ChangeKind) -> None:
        """Note that something changed, and tell all who watch."""
        self.columns.version[row] += 1
        host = int(self.columns.host[row])
        self.feed.tell(Event(row=row, host=host, kind=kind, at=self.clock.wall))

    def mac(self, row: int) -> str:
        """Return the address of a VM's network card."""
        return f"{_MAC_PREFIX}:{row >> 16 & 255:02x}:{row >> 8 & 255:02x}:{row & 255:02x}"
