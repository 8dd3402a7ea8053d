"""VMs move between two real Xen hosts as between any others: encrypted, bounded, stoppable, with progress told."""

import asyncio
import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.gate import Gate, gate
from tests.lab_session import settings_of, why_not
from tests.xen_session import PATIENT, bring_back
from yamori.agent.joined import JoinedSession
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.lab import wire
from yamori.lab.lab import Lab, clear_lab
from yamori.lab.network import NETNS_ROOT
from yamori.lab.spec import LabSpec
from yamori.lab.xen.agent import XenAgent, passage_of
from yamori.lab.xen.domain import SLICES
from yamori.lab.xen.host import XenHost
from yamori.model.errors import Unreachable, Unsupported
from yamori.model.ids import EndpointName, HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, StorageMode
from yamori.model.support import Level
from yamori.testing.conformance.contract import EFFECT, Contract, Record, copies, proves
from yamori.testing.conformance.migration import MigrationContract
from yamori.testing.conformance.moving import runs
from yamori.testing.conformance.patience import Eventually

pytestmark = [pytest.mark.lab, pytest.mark.xen, pytest.mark.full, pytest.mark.timeout(1800)]

HOME, AWAY = "xen-a", "xen-b"
PV, PVH = "vm-x1", "vm-x2"
SLOW_BYTES_S = 2 << 20
"""Below what two emulated hosts can do."""
MARKERS = (b"Linux version ", b"guest-tool")
"""Words that are in the memory of every guest of the lab."""


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
    with _linked(pair.xen_host(HOME)) as link:
        return {each.UUIDString(): each.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for each in _guests(link)}


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


@contextlib.asynccontextmanager
async def opened(lab: Lab, door: Gate, name: str) -> AsyncIterator[JoinedSession]:
    """A session to one host as an operator has it: libvirt, joined with the agent."""
    settings = settings_of(lab, name, **PATIENT, migrate_to={"passage": "agent"}, shared_paths=(SLICES,))
    session = door.joined(name, await DRIVER.connect(EndpointName(name), settings))
    await session.probe()
    try:
        yield session
    finally:
        await session.close()


async def _landing(destination: Session, vm: VMId) -> Landing:
    assert destination.acting.migration is not None
    return await destination.acting.migration.landing(vm, HostId(AWAY))


async def _reachable(session: Session) -> bool:
    with contextlib.suppress(Unreachable):
        return not (await session.probe()).provisional
    return False


def bring_home(lab: Lab, vm: VMId, definition: str) -> None:
    """Have a guest run at home and nowhere else, whatever the last test did to it."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with _linked(lab.xen_host(AWAY)) as link:
                for each in _guests(link):
                    if each.UUIDString() == vm:
                        if each.isActive():
                            each.destroy()
                        with contextlib.suppress(libvirt.libvirtError):  # a transient one is gone already
                            each.undefine()
            with _linked(lab.xen_host(HOME)) as link:
                if vm not in {each.UUIDString() for each in _guests(link)}:
                    link.defineXML(definition)
        except libvirt.libvirtError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2.0)
        else:
            break
    bring_back(lab.xen_host(HOME), vm)


@contextlib.contextmanager
def _linked(host: XenHost) -> Iterator[Any]:
    link = libvirt.open(host.local_uri)
    try:
        yield link
    finally:
        link.close()


def _guests(link: Any) -> list[Any]:
    return [each for each in link.listAllDomains() if each.ID() != 0]


def in_memory(host: XenHost, guest: str) -> dict[bytes, int]:
    """How often the markers are in a guest's memory, as Xen dumps it."""
    dump = "/var/tmp/memory"
    host.run(["xl", "dump-core", guest, dump], timeout_seconds=240)
    try:
        return {
            marker: int(
                host.run(["sh", "-c", f"grep -a -c '{marker.decode()}' {dump} || true"], timeout_seconds=240)
            )
            for marker in MARKERS
        }
    finally:
        host.run(["rm", "-f", dump])


@contextlib.contextmanager
def captured(lab: Lab, host: str, path: Path) -> Iterator[Path]:
    """All that passes a host's management wire meanwhile, seen from the switch."""
    space = NETNS_ROOT / lab.layout.switch_namespace
    command = ["tcpdump", "-i", f"m-{host}", "-s", "0", "-U", "-B", "65536", "-w", str(path), "-Z", "root"]
    with subprocess.Popen(["nsenter", f"--net={space}", *command], stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        said = b""
        while b"listening" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        try:
            yield path
        finally:
            running.terminate()
            said = running.stderr.read()
    assert b"\n0 packets dropped by kernel" in said, said


def answers(lab: Lab, guest: str) -> bool:
    work = wire.Work(iterations=1000, pages=4, blocks=0)
    return wire.ask(lab.layout.switch_namespace, lab.guest_address(guest), work) is not None


@contextlib.asynccontextmanager
async def silence(lab: Lab, guest: str) -> AsyncIterator[Any]:
    """Ask a guest again and again; the longest time without an answer."""
    heard = [time.monotonic()]
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            if await asyncio.to_thread(answers, lab, guest):
                heard.append(time.monotonic())
            await asyncio.sleep(0.25)

    asking = asyncio.create_task(ask())
    try:
        yield lambda: max(b - a for a, b in itertools.pairwise(heard))
    finally:
        over.set()
        await asking
