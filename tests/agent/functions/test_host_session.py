"""The session of a host: honest about what it has, all or nothing; limits outlive a close and still end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.agent.passage.world import free_port
from yamori.agent.functions.bounds import Told, Wanted
from yamori.agent.functions.carrying import Way
from yamori.agent.functions.host import HostSession, Parts
from yamori.agent.functions.settings import Function, HostSettings
from yamori.agent.lapse import log_note
from yamori.agent.passage.settings import PassageSettings
from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import Conflict, Invalid, NotFound, Unreachable, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import FEATURES, Cell, Level
from yamori.model.vm import VM, PowerState

IN, OUT, CAP = LimitKind.NET_IN, LimitKind.NET_OUT, LimitKind.CPU_CAP


def machine(vm: str, state: PowerState) -> VM:
    return VM(
        id=VMId(vm),
        name=vm,
        host=HostId("h"),
        state=state,
        vcpus=1,
        memory_bytes=1 << 27,
        memory_max_bytes=1 << 27,
    )


class Inventory:
    def __init__(self) -> None:
        self.vms = {"a": machine("a", PowerState.RUNNING), "off": machine("off", PowerState.STOPPED)}

    async def read(self) -> Listing:
        return Listing(hosts=(), vms=tuple(self.vms.values()))

    async def vm(self, vm: VMId) -> VM:
        if vm not in self.vms:
            raise NotFound("there is no such VM", subject=vm)
        return self.vms[vm]


class FakeBounds:
    def __init__(self, kind: LimitKind, level: Level = Level.AGENT) -> None:
        self.kinds = frozenset({kind})
        self.kind, self.level = kind, level
        self.held: float | None = None
        self.refusal: Exception | None = None

    def cells(self) -> Mapping[LimitKind, Cell]:
        return {self.kind: Cell(level=self.level, reason="why")}

    def read(self, vm: VM) -> Told:
        return {self.kind: self.held}

    def plan(self, vm: VM, wanted: Wanted) -> Callable[[], None]:
        if self.refusal is not None:
            raise self.refusal

        def act() -> None:
            self.held = wanted[self.kind]

        return act

    def close(self) -> None: ...


class Bench:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.first, self.second = FakeBounds(IN), FakeBounds(OUT)
        self.tended = asyncio.Event()
        self.breaks = True

    async def open(self, *, way: Way | None = None, needs_way: bool = False, carry: bool = True) -> HostSession:
        loop = asyncio.get_running_loop()

        def tend() -> None:
            if self.breaks:
                self.breaks = False
                raise ZeroDivisionError
            loop.call_soon_threadsafe(self.tended.set)

        async def close() -> None: ...

        parts = Parts(
            hypervisor="Q", inventory=Inventory(), bounds=[self.first, self.second], usage=None,
            usage_cells=dict, tend=tend, close=close, needs_way=needs_way,
        )  # fmt: skip
        functions = frozenset({Function.NET, Function.PASSAGE} if carry else {Function.NET})
        settings = HostSettings(state_dir=str(self.state), functions=functions)
        session = HostSession(settings, parts, ThreadPoolExecutor(1), log_note, way)
        await session.begin()
        return session


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def session(bench: Bench) -> AsyncIterator[HostSession]:
    session = await bench.open()
    yield session
    await session.close()


async def test_each_feature_is_answered_with_a_reason_where_it_is_not_there(session: HostSession) -> None:
    cells = (await session.probe()).cells
    assert set(cells) == set(FEATURES)
    assert all(cell.reason or cell.level is Level.AGENT for cell in cells.values())
    assert cells["limits.net_in"].level is Level.AGENT
    assert "switched off" in cells["limits.cpu_cap"].reason


async def test_one_refusal_keeps_all_from_being_changed(bench: Bench, session: HostSession) -> None:
    assert session.acting.limits is not None
    bench.second.refusal = Conflict("another hand")
    with pytest.raises(Conflict):
        await session.acting.limits.set(VMId("a"), {IN: 5.0, OUT: 5.0})
    assert bench.first.held is None


async def test_what_makes_no_sense_is_refused_in_the_right_words(session: HostSession) -> None:
    limits = session.acting.limits
    assert limits is not None
    with pytest.raises(Unsupported) as refusal:
        await limits.set(VMId("a"), {IN: 5.0, CAP: 0.5})
    assert refusal.value.capability == "limits.cpu_cap"
    with pytest.raises(Invalid):
        await limits.set(VMId("a"), {IN: -1.0})
    with pytest.raises(NotFound):
        await limits.set(VMId("nobody"), {IN: 5.0})
    with pytest.raises(Conflict):
        await limits.set(VMId("off"), {IN: 5.0})
    with pytest.raises(Unsupported):
        await limits.pin(VMId("a"), None)


async def test_a_vm_that_is_off_has_no_limits_to_tell(session: HostSession) -> None:
    assert session.sensing.limits is not None
    held = await session.sensing.limits.read(VMId("off"))
    assert not held.values
    assert set(held.unknown) == set(LimitKind)


async def test_a_host_where_nothing_works_offers_no_limits(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.first.level = bench.second.level = Level.NONE
    session = await bench.open()
    assert session.acting.limits is None
    assert (await session.probe()).cells["limits.expiry"].level is Level.NONE
    await session.close()


async def test_closing_keeps_a_limit_and_the_next_life_ends_it(bench: Bench) -> None:
    session = await bench.open()
    assert session.acting.limits is not None
    await session.acting.limits.set(VMId("a"), {IN: 5.0}, lapse_s=4.0)
    await session.close()
    with pytest.raises(Unreachable):
        await session.probe()
    await asyncio.sleep(4.1)
    assert bench.first.held == 5.0
    again = await bench.open()
    async with asyncio.timeout(30):
        while bench.first.held is not None:  # noqa: ASYNC110 -- it changes in a thread
            await asyncio.sleep(0.02)
    await again.close()


async def test_removing_the_agent_ends_all_lapses(bench: Bench, session: HostSession) -> None:
    assert session.acting.limits is not None
    await session.acting.limits.set(VMId("a"), {IN: 5.0, OUT: 6.0}, lapse_s=3600)
    await session.end_lapses()
    assert (bench.first.held, bench.second.held) == (None, None)


async def test_what_fails_while_tending_is_done_again(bench: Bench, session: HostSession) -> None:
    await asyncio.wait_for(bench.tended.wait(), 60)
    assert not bench.breaks


def way_of(port: int) -> Way:
    peer = {"address": "127.0.0.1", "loopback": "127.0.9.8"}
    told = {"listen": "127.0.0.1", "port": port, "loopback": "127.0.9.7", "peers": {"b": peer}}
    return Way(settings=PassageSettings.model_validate(told), contexts=NoIdentity())


class NoIdentity:
    def context(self, *, server_side: bool) -> ssl.SSLContext:
        raise NotFound("this host is not enrolled")


async def test_where_the_hypervisor_needs_it_the_agent_carries_memory(bench: Bench) -> None:
    session = await bench.open(way=way_of(free_port()), needs_way=True)
    cells = (await session.probe()).cells
    for part in ("live", "encrypted", "cancel", "bandwidth"):
        assert cells[f"migration.{part}"].level is Level.AGENT
    assert cells["migration.copied_storage"].level is Level.NONE
    assert session.acting.migration is not None
    assert session.sensing.migration is not None
    assert session.acting.limits is not None
    assert (await session.acting.migration.landing(VMId("a"), HostId("h"))).address == "127.0.9.7:49400"
    await session.close()
    with pytest.raises(Unreachable):
        await session.acting.migration.landing(VMId("a"), HostId("h"))


@pytest.mark.parametrize(
    ("needs_way", "set_up", "carry", "why"),
    [
        (False, True, True, "hypervisor's own"),
        (True, False, True, "not set up"),
        (True, True, False, "switched off"),
    ],
)
async def test_where_the_agent_carries_no_memory_it_says_why(
    bench: Bench, needs_way: bool, set_up: bool, carry: bool, why: str
) -> None:
    way = way_of(free_port()) if set_up else None
    session = await bench.open(way=way, needs_way=needs_way, carry=carry)
    cells = (await session.probe()).cells
    rows = [cell for feature, cell in cells.items() if feature.startswith("migration.")]
    assert all(cell.level is Level.NONE and why in cell.reason for cell in rows)
    assert session.acting.migration is None
    assert session.sensing.migration is None
    await session.close()
