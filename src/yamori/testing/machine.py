"""The same random operations on two hypervisors at once, and what can be seen must be the same.

One side is the simulator, which is the specification; the other one is the driver under test.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from yamori.capabilities.sensing.usage import Column
from yamori.capabilities.session import Session
from yamori.model.errors import YamoriError
from yamori.model.ids import VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Support
from yamori.model.vm import PowerState
from yamori.testing.conformance.contract import present

T = TypeVar("T")
CLOSE = 0.02
TRIES = 50
"""How often two sides are looked at before a difference counts: a real hypervisor needs a moment."""
EITHER = {"conflict", "invalid"}
"""A senseless request to a VM that does not run is refused for either reason; which comes first is no promise."""
VERBS = frozenset({"start", "stop", "pause", "resume", "reset"})
RATES: Mapping[LimitKind, float] = {
    LimitKind.CPU_CAP: 1.0,
    LimitKind.CPU_WEIGHT: 4.0,
    LimitKind.DISK_IOPS: 1000.0,
    LimitKind.DISK_BANDWIDTH: 64e6,
    LimitKind.NET_IN: 8_192_000.0,
    LimitKind.NET_OUT: 8_192_000.0,
}
"""What a fraction of 1 means for each limit; memory is relative to the VM's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One hypervisor in the comparison. ``vms`` are running VMs, as many as on the other side, in some order.

    ``settle`` lets a moment pass there (sleep, or advance a clock); ``close`` tidies up, the session included.
    """

    session: Session
    vms: tuple[VMId, ...]
    settle: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


Opener = Callable[[], Awaitable[tuple[Side, Side]]]
Operation = Callable[[Side, VMId], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an onlooker sees of one VM. Limits as fractions, rounded to what hypervisors keep."""

    state: PowerState
    counted: bool | None
    limits: Mapping[LimitKind, float | None]
    pinning: frozenset[int] | None


class Comparison(RuleBasedStateMachine):
    """Plays on both sides. Made by ``machine``; rules run only where both sides claim the feature."""

    opener: ClassVar[Opener]
    verbs: ClassVar[frozenset[str]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sides: tuple[Side, Side] | None = None
        self.shared: frozenset[str] = frozenset()

    def run(self, work: Awaitable[T]) -> T:
        """Run something asynchronous in the machine's own loop."""

        async def as_coroutine() -> T:
            return await work

        return self.loop.run_until_complete(as_coroutine())

    def teardown(self) -> None:
        """Close both sides and the loop."""
        try:
            for side in self.sides or ():
                self.run(side.close())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    @initialize()
    def open(self) -> None:
        """Open both sides and find out what both of them can do."""
        self.sides = self.run(type(self).opener())
        assert len({len(side.vms) for side in self.sides}) == 1, "both sides need the same number of VMs"
        claims: list[Support] = [self.run(side.session.probe()) for side in self.sides]
        self.shared = frozenset(name for name in claims[0].cells if all(present(c, name) for c in claims))

    def both(self, vm: int, what: str, operation: Operation) -> None:
        """Do the same on both sides: the same must come of it, a success or the same word of error."""
        assert self.sides is not None
        outcomes = [self.run(_outcome(operation, side, side.vms[vm % len(side.vms)])) for side in self.sides]
        alike = outcomes[0] == outcomes[1] or set(outcomes) == EITHER
        assert alike, f"{what} of VM {vm % len(self.sides[0].vms)}: {outcomes}"

    @precondition(lambda self: "power" in self.shared)
    @rule(vm=st.integers(0, 7), verb=st.sampled_from(sorted(VERBS)))
    def power(self, vm: int, verb: str) -> None:
        """Use one verb of power on both sides. A stop cuts the power: what a guest does is its own affair."""
        if verb not in self.verbs:
            return

        async def operation(side: Side, subject: VMId) -> None:
            power = side.session.acting.power
            assert power is not None
            if verb == "stop":
                await power.stop(subject, force=True)
            else:
                await getattr(power, verb)(subject)

        self.both(vm, verb, operation)

    @rule(
        vm=st.integers(0, 7),
        kinds=st.dictionaries(
            st.sampled_from(list(LimitKind)),
            st.sampled_from([0.5, 0.75, 1.0, None, -1.0, 0.0, math.nan]),
            min_size=1,
            max_size=3,
        ),
    )
    def limit(self, vm: int, kinds: dict[LimitKind, float | None]) -> None:
        """Set or lift up to three limits at once, now and then with a value without sense."""
        wanted = {kind: value for kind, value in kinds.items() if f"limits.{kind}" in self.shared}
        if not wanted:
            return

        async def operation(side: Side, subject: VMId) -> None:
            assert side.session.acting.limits is not None
            largest = (await side.session.sensing.inventory.vm(subject)).memory_max_bytes
            scale = {**RATES, LimitKind.MEMORY: float(largest)}
            await side.session.acting.limits.set(
                subject, {k: None if v is None else v * scale[k] for k, v in wanted.items()}
            )

        self.both(vm, f"limiting {wanted}", operation)

    @precondition(lambda self: "limits.cpu_pinning" in self.shared)
    @rule(vm=st.integers(0, 7), cpus=st.sampled_from([None, frozenset({0}), frozenset(), frozenset({9_999_999})]))
    def pin(self, vm: int, cpus: frozenset[int] | None) -> None:
        """Pin to the first CPU, to none, to one that is not there, or free."""

        async def operation(side: Side, subject: VMId) -> None:
            assert side.session.acting.limits is not None
            await side.session.acting.limits.pin(subject, cpus)

        self.both(vm, f"pinning to {cpus}", operation)

    @rule()
    def ask_for_nobody(self) -> None:
        """Ask for a VM that is not there."""

        async def operation(side: Side, subject: VMId) -> None:
            del subject
            await side.session.sensing.inventory.vm(VMId("00000000-0000-4000-8000-000000000000"))

        self.both(0, "reading nobody", operation)

    @invariant()
    def sides_look_the_same(self) -> None:
        """What can be seen of every VM is the same on both sides, at the latest after some moments."""
        if self.sides is not None:
            self.run(self._compare(self.sides))

    async def _compare(self, sides: tuple[Side, Side]) -> None:
        for _ in range(TRIES):
            seen = [[await self._look(side, vm) for vm in side.vms] for side in sides]
            different = [i for i, (a, b) in enumerate(zip(*seen, strict=True)) if not _alike(a, b)]
            if not different:
                return
            for side in sides:
                await side.settle()
        first = different[0]
        raise AssertionError(f"VM {first} differs: {seen[0][first]} on one side, {seen[1][first]} on the other")

    async def _look(self, side: Side, vm: VMId) -> Seen:
        sensing = side.session.sensing
        found = await sensing.inventory.vm(vm)
        limits: dict[LimitKind, float | None] = {}
        pinning = None
        if sensing.limits is not None:
            read = await sensing.limits.read(vm)
            scale = {**RATES, LimitKind.MEMORY: float(found.memory_max_bytes)}
            for kind in (k for k in LimitKind if f"limits.{k}" in self.shared and k in read.values):
                limits[kind] = _fraction(kind, read.values[kind], scale[kind])
            pinning = read.pinning if "limits.cpu_pinning" in self.shared else None
        counted = None
        if "usage" in self.shared and sensing.usage is not None:
            frame = await sensing.usage.read()
            counted = vm in frame.vms and bool(frame.values[frame.vms.index(vm), Column.RUNNING] == 1.0)
        # Limits of a VM that does not run are nobody's promise.
        live = found.state in (PowerState.RUNNING, PowerState.PAUSED)
        return Seen(
            state=found.state, counted=counted, limits=limits if live else {}, pinning=pinning if live else None
        )


async def _outcome(operation: Operation, side: Side, vm: VMId) -> str:
    try:
        await operation(side, vm)
    except YamoriError as error:
        return error.code
    return "done"


def _fraction(kind: LimitKind, value: float | None, whole: float) -> float | None:
    """Return a limit as a fraction; None where it means "no limit"."""
    if value is None or (kind is LimitKind.MEMORY and value >= whole * (1 - CLOSE)):
        return None
    if kind is LimitKind.CPU_WEIGHT and math.isclose(value, 1.0, rel_tol=CLOSE):
        return None
    return value / whole


def _alike(one: Seen, other: Seen) -> bool:
    if (one.state, one.counted, one.pinning) != (other.state, other.counted, other.pinning):
        return False
    if set(one.limits) != set(other.limits):
        return False
    return all(_near(value, other.limits[kind]) for kind, value in one.limits.items())


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=CLOSE)


def machine(opener: Opener, *, verbs: frozenset[str] = VERBS) -> type[Comparison]:
    """Make the state machine for two sides. ``opener`` makes both afresh for each play.

    Run it with ``hypothesis.stateful.run_state_machine_as_test``. ``verbs`` leaves out verbs of power that a
    stand-in hypervisor does not have.
    """
    return type("ComparisonOfTwo", (Comparison,), {"opener": staticmethod(opener), "verbs": verbs})
