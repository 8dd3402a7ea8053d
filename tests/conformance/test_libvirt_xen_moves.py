"""VMs move between two real Xen hosts as between any others: encrypted, bounded, stoppable, with progress told."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import libvirt
import pytest

from tests.gate import Gate, gate
from tests.lab_session import why_not
from tests.xen_pair import (
    AWAY,
    HOME,
    MARKERS,
    answers,
    bring_home,
    captured,
    guests_of,
    in_memory,
    linked,
    opened,
    silence,
)
from yamori.capabilities.session import Session
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.spec import LabSpec
from yamori.lab.xen.agent import XenAgent, passage_of
from yamori.model.errors import Unreachable, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, StorageMode
from yamori.model.support import Level
from yamori.testing.conformance.contract import EFFECT, Contract, Record, copies, proves
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.moving import runs
from yamori.testing.conformance.patience import Eventually

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(1800)]

PV, PVH = "vm-x1", "vm-x2"
SLOW_BYTES_S = 2 << 20
"""Below what two emulated hosts can do."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    """Two Xen hosts, each with a paravirtual guest; the first has a PVH one as well."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"NO LAB ON THIS MACHINE: {reason}")
    if (present := os.environ.get("YAMORI_XEN_PAIR")) is not None:
        yield Lab.open(present)
        return
    name = f"xenmoves-{os.getpid()}"
    spec = LabSpec(name=name, hosts=0, xen_hosts=2, xen_guests_per_host=2, xen_pvh=(PVH,))
    try:
        yield asyncio.run(Lab.up(spec))
    finally:
        asyncio.run(clear_lab(name))


@pytest.fixture(scope="module")
def door(pair: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Where the agents of both hosts are connected."""
    hosts = [pair.xen_host(name) for name in (HOME, AWAY)]
    agents = [XenAgent(host, passage=passage_of(host, hosts)) for host in hosts]
    with gate(tmp_path_factory.mktemp("gate"), f"{pair.layout.root_address}:8471") as opened:
        try:
            for host, agent in zip(hosts, agents, strict=True):
                host.refresh_source()
                opened.bring(host.name, agent)
            yield opened
        finally:
            for agent in agents:
                agent.kill()


@pytest.fixture(scope="module")
def definitions(pair: Lab) -> dict[str, str]:
    """How the guests are defined at home."""
    with linked(pair.xen_host(HOME)) as link:
        return {each.UUIDString(): each.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for each in guests_of(link)}


class Pair:
    """One guest, at home and running before each test, and sessions to both hosts."""

    guest = PVH

    @pytest.fixture
    def vm(self, pair: Lab, door: Gate, definitions: dict[str, str]) -> VMId:
        vm = VMId(pair.guest(self.guest).uuid)
        bring_home(pair, vm, definitions[vm])
        return vm

    @pytest.fixture
    async def session(self, pair: Lab, door: Gate) -> AsyncIterator[Session]:
        async with opened(pair, door, HOME) as session:
            yield session

    @pytest.fixture
    async def second(self, pair: Lab, door: Gate) -> AsyncIterator[Session]:
        async with opened(pair, door, HOME) as session:
            yield session

    @pytest.fixture
    async def destination(self, pair: Lab, door: Gate) -> AsyncIterator[Session]:
        async with opened(pair, door, AWAY) as session:
            yield session

    @pytest.fixture
    def storage(self) -> StorageMode:
        return StorageMode.SHARED

    @pytest.fixture
    def slow_bytes_s(self) -> int:
        return SLOW_BYTES_S

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually(tries=2400)  # eight minutes


class TestMigration(Pair, MigrationContract): ...


class TestAlone(Pair, Contract):
    """What only these hosts can show."""

    feature = "migration.live"

    async def test_the_agents_are_in_the_matrix_and_without_one_nothing_moves(
        self, session: Session, destination: Session, door: Gate, vm: VMId, eventually: Eventually
    ) -> None:
        cells = (await session.probe()).cells
        for part in ("live", "encrypted", "cancel", "bandwidth"):
            assert cells[f"migration.{part}"].level is Level.AGENT, part
        assert cells["migration.copied_storage"].level is Level.NONE
        landing = await _landing(destination, vm)
        door.kill(HOME)
        try:

            async def missed() -> bool:
                return (await session.probe()).cells["migration.live"].level is Level.UNKNOWN

            await eventually(missed, "the agent was missed")
            assert session.acting.migration is not None
            with pytest.raises(Unreachable):
                await session.acting.migration.start(
                    vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=None, key="away"
                )
            assert session.sensing.migration is not None
            assert await session.sensing.migration.status(vm) is None
            assert await runs(session, vm)
        finally:
            await asyncio.to_thread(door.start, HOME)
        await session.probe()

    async def test_nothing_on_the_wire_can_be_read(
        self,
        pair: Lab,
        session: Session,
        destination: Session,
        vm: VMId,
        eventually: Eventually,
        tmp_path: Path,
        record_property: Record,
    ) -> None:
        proves(record_property, "migration.encrypted", EFFECT)
        assert session.acting.migration is not None
        assert session.sensing.migration is not None
        host = pair.xen_host(HOME)
        held = await asyncio.to_thread(in_memory, host, self.guest)
        assert all(held.values()), f"not even in the guest's memory: {held}"
        landing = await _landing(destination, vm)
        with captured(pair, HOME, tmp_path / "wire") as capture:
            await session.acting.migration.start(
                vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=None, key="wire"
            )
            status = await eventually.done(
                asyncio.ensure_future(session.acting.migration.wait(vm)), "the move ended"
            )
        assert status.phase is MigrationPhase.SUCCEEDED, status
        assert (status.processed_bytes or 0) > 64 << 20
        content = capture.read_bytes()
        assert len(content) > (status.processed_bytes or 0)
        assert {marker: content.count(marker) for marker in MARKERS} == dict.fromkeys(MARKERS, 0)

    async def test_a_link_that_is_cut_in_the_middle_leaves_one_copy_and_the_next_move_succeeds(
        self, pair: Lab, session: Session, destination: Session, vm: VMId, eventually: Eventually
    ) -> None:
        assert session.acting.migration is not None
        assert session.sensing.migration is not None
        watch = session.sensing.migration
        await session.acting.migration.start(
            vm,
            await _landing(destination, vm),
            storage=StorageMode.SHARED,
            bandwidth_bytes_s=SLOW_BYTES_S,
            key="cut",
        )

        async def half_way() -> bool:
            status = await watch.status(vm)
            return status is not None and (status.processed_bytes or 0) > 16 << 20

        await eventually(half_way, "a good part is on its way")
        pair.cut_link(AWAY)
        try:
            status = await eventually.done(
                asyncio.ensure_future(session.acting.migration.wait(vm)), "the move ended"
            )
        finally:
            pair.heal_link(AWAY)
        assert status.phase is MigrationPhase.FAILED, status
        assert status.error
        assert await runs(session, vm)
        # An arrival that lost its control link stays there, off, until libvirtd is started anew.
        await asyncio.to_thread(pair.xen_host(AWAY).restart_libvirtd, timeout_seconds=180)

        async def one_copy() -> bool:
            with contextlib.suppress(Unreachable):
                return [each.host for each in await copies(vm, session, destination)] == [HostId(HOME)]
            return False

        await eventually(one_copy, "one copy runs, at home")
        await eventually(lambda: _reachable(destination), "the other host and its agent are back")
        await session.acting.migration.start(
            vm, await _landing(destination, vm), storage=StorageMode.SHARED, bandwidth_bytes_s=None, key="again"
        )
        status = await eventually.done(
            asyncio.ensure_future(session.acting.migration.wait(vm)), "the second move ended"
        )
        assert status.phase is MigrationPhase.SUCCEEDED, status


class TestStanding(Pair, Contract):
    """A paravirtual guest stands still while it is sent: only if that is allowed, and as long as was said."""

    feature = "migration.live"
    guest = PV

    async def test_it_moves_only_if_allowed_and_stands_still_as_long_as_was_forecast(
        self, pair: Lab, session: Session, destination: Session, vm: VMId, eventually: Eventually
    ) -> None:
        assert session.acting.migration is not None
        assert session.sensing.migration is not None
        landing = await _landing(destination, vm)
        forecast = await session.sensing.migration.forecast(
            vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=SLOW_BYTES_S
        )
        assert not forecast.live
        assert forecast.downtime_s is not None
        with pytest.raises(Unsupported):
            await session.acting.migration.start(
                vm, landing, storage=StorageMode.SHARED, bandwidth_bytes_s=SLOW_BYTES_S, key="still"
            )
        assert await runs(session, vm)
        async with silence(pair, self.guest) as longest:
            await session.acting.migration.start(
                vm,
                landing,
                storage=StorageMode.SHARED,
                bandwidth_bytes_s=SLOW_BYTES_S,
                key="still",
                stopping=True,
            )
            status = await eventually.done(
                asyncio.ensure_future(session.acting.migration.wait(vm)), "the move ended"
            )
            assert status.phase is MigrationPhase.SUCCEEDED, status
            assert status.encrypted is True
            await eventually(lambda: asyncio.to_thread(answers, pair, self.guest), "it serves again")
        assert await runs(destination, vm)
        assert not await runs(session, vm)
        assert 0.5 * forecast.downtime_s <= longest() <= 3 * forecast.downtime_s, (longest(), forecast)


async def _landing(destination: Session, vm: VMId) -> Landing:
    assert destination.acting.migration is not None
    return await destination.acting.migration.landing(vm, HostId(AWAY))


async def _reachable(session: Session) -> bool:
    with contextlib.suppress(Unreachable):
        return not (await session.probe()).provisional
    return False
