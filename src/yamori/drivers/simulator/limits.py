"""Limits of one VM: set live, read back from the world each time."""

from collections.abc import Mapping

from yamori.drivers.simulator.columns import NO_LIMIT, State
from yamori.drivers.simulator.connection import Connection
from yamori.model.errors import Conflict, Invalid, Unsupported
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind, Limits, check_sense


class SimulatorLimitsReader:
    """The sensing capability ``limits``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, vm: VMId) -> Limits:
        """Read all limits of one VM."""
        async with self._connection.door("limits.read", vm):
            row = self._connection.row(vm)
            without = self._connection.without
            values = {k: self._value(k, row) for k in LimitKind if f"limits.{k}" not in without}
            unknown = {k: without[f"limits.{k}"] for k in LimitKind if f"limits.{k}" in without}
            return Limits(values=values, unknown=unknown, pinning=self._connection.world.pins.get(row))

    def _value(self, kind: LimitKind, row: int) -> float | None:
        c = self._connection.world.columns
        value = float(c.limit(kind)[row])
        if value == NO_LIMIT or (kind is LimitKind.MEMORY and value >= c.memory_max[row]):
            return None
        return value


class SimulatorLimitsWriter:
    """The acting capability ``limits``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set(
        self, vm: VMId, limits: Mapping[LimitKind, float | None], *, lapse_s: float | None = None
    ) -> None:
        """Set the named limits of a running VM: all of them or none."""
        async with self._connection.door("limits.set", vm):
            row = self._connection.row(vm)
            check_sense(limits, lapse_s, subject=vm)
            for kind, value in limits.items():
                self._need(f"limits.{kind}", vm)
                self._check(kind, value, row, vm)
            self._must_execute(row, vm)
            lapses = "limits.expiry" not in self._connection.without
            self._connection.world.limit(vm, limits, lapse_s=lapse_s if lapses else None)

    async def pin(self, vm: VMId, cpus: frozenset[int] | None) -> None:
        """Let all vCPUs of the VM run only on these host CPUs."""
        async with self._connection.door("limits.pin", vm):
            row = self._connection.row(vm)
            self._need("limits.cpu_pinning", vm)
            world = self._connection.world
            count = int(world.hardware.cpus[world.columns.host[row]])
            if cpus is not None and (not cpus or not cpus <= frozenset(range(count))):
                raise Invalid(f"pin to some of the host's CPUs 0 to {count - 1}", subject=vm)
            self._must_execute(row, vm)
            everything = cpus is not None and len(cpus) == count
            world.pin(vm, None if everything else cpus)

    def _need(self, feature: str, vm: VMId) -> None:
        if feature in self._connection.without:
            raise Unsupported(feature, self._connection.without[feature], subject=vm)

    def _check(self, kind: LimitKind, value: float | None, row: int, vm: VMId) -> None:
        largest = float(self._connection.world.columns.memory_max[row])
        if kind is LimitKind.MEMORY and value is not None and value > largest:
            raise Invalid(f"the VM's memory can be at most {largest:.0f} bytes", subject=vm)

    def _must_execute(self, row: int, vm: VMId) -> None:
        if self._connection.state(row) not in (State.RUNNING, State.PAUSED):
            raise Conflict("the VM does not run", subject=vm)
