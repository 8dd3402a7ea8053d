"""A link that hangs, breaks or is never there costs its own endpoint and nobody else."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import libvirt
import pytest

from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import Connection, pause_seconds
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.lab.pki import Authority, write_client
from yamori.model.errors import NotFound, TimedOut, Unreachable
from yamori.model.ids import EndpointName, VMId

HERE = "test:///default"
LONG = 60.0


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A client's certificates, so that a connection comes as far as the other side's silence."""
    folder = tmp_path_factory.mktemp("pki")
    write_client(Authority("test"), folder)
    return str(folder)


@pytest.fixture
def deaf(pki: str) -> Iterator[dict[str, str]]:
    """Settings for a port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield {"uri": f"qemu+tls://127.0.0.1:{server.getsockname()[1]}/system", "pki": pki}


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    timeouts = {"connect_s": 20, "read_s": 0.2}
    opened = Connection(EndpointName("here"), LibvirtSettings(uri=HERE, timeouts=timeouts))
    yield opened
    await opened.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - what is asked about knows nothing of events
            await asyncio.sleep(0.02)


async def test_the_first_call_waits_for_the_first_attempt(connection: Connection) -> None:
    assert await connection.call(lambda link: link.getType(), capability="probe") == "TEST"


async def test_an_error_is_translated_and_keeps_its_cause_without_its_frames(connection: Connection) -> None:
    with pytest.raises(NotFound) as failure:
        await connection.call(lambda link: link.lookupByName("nobody"), capability="inventory", subject="nobody")
    assert isinstance(failure.value.__cause__, libvirt.libvirtError)


async def test_one_call_that_hangs_is_given_up_and_the_link_stays(connection: Connection) -> None:
    gate = threading.Event()
    with pytest.raises(TimedOut):
        await connection.call(lambda _link: gate.wait(), capability="usage")
    assert await connection.call(lambda link: link.getType(), capability="probe", seconds=LONG) == "TEST"
    assert connection.is_open
    assert connection.stuck == 1
    gate.set()
    await _until(lambda: connection.stuck == 0)


async def test_a_deaf_endpoint_is_unreachable_at_once_after_the_first_time_and_hurts_nobody(
    deaf: dict[str, str],
) -> None:
    there = LibvirtSettings(**deaf, timeouts={"connect_s": 0.3})
    bad = await DRIVER.connect(EndpointName("deaf"), there)
    good = await DRIVER.connect(EndpointName("here"), LibvirtSettings(uri=HERE))
    try:
        with pytest.raises(Unreachable, match="no answer while connecting"):
            await bad.sensing.inventory.read()
        for _ in range(20):
            with pytest.raises(Unreachable):
                await bad.sensing.inventory.read()
            assert (await good.sensing.inventory.read()).hosts
    finally:
        await bad.close()
        await good.close()


async def test_threads_that_hang_while_connecting_are_bounded(
    deaf: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yamori.drivers.libvirt.connection.pause_seconds", lambda _failures: 0.0)
    settings = LibvirtSettings(**deaf, timeouts={"connect_s": 0.05})
    opened = Connection(EndpointName("deaf"), settings)
    try:
        await _until(lambda: opened.stuck >= 16)
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert opened.stuck == 16
        with pytest.raises(Unreachable, match="16 calls hang"):
            await opened.call(lambda link: link.getType(), capability="probe")
    finally:
        await opened.close()


async def test_a_refused_connection_is_unreachable_and_says_why(pki: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = LibvirtSettings(uri=f"qemu+tls://127.0.0.1:{port}/system", pki=pki)
    session = await DRIVER.connect(EndpointName("gone"), gone)
    try:
        with pytest.raises(Unreachable, match="refused"):
            await session.sensing.inventory.read()
    finally:
        await session.close()


async def test_a_lost_link_is_opened_again_and_tells_who_watches(connection: Connection) -> None:
    told: list[str] = []
    connection.on_open.append(lambda _link: told.append("open"))
    connection.on_lost.append(lambda: told.append("lost"))
    first = await connection.call(lambda link: id(link), capability="probe", seconds=LONG)
    connection._drop(connection._link, "the test cut it")
    with pytest.raises(Unreachable, match="the test cut it"):
        await connection.call(lambda link: link.getType(), capability="probe")
    await _until(lambda: connection.is_open)
    second = await connection.call(lambda link: id(link), capability="probe", seconds=LONG)
    assert second != first
    assert told[-2:] == ["lost", "open"]


async def test_closing_is_final_and_idempotent(connection: Connection) -> None:
    await connection.call(lambda link: link.getType(), capability="probe", seconds=LONG)
    await connection.close()
    await connection.close()
    with pytest.raises(Unreachable, match="closed"):
        await connection.call(lambda link: link.getType(), capability="probe")


async def test_closing_while_connecting_frees_whoever_waits(deaf: dict[str, str]) -> None:
    opened = Connection(EndpointName("deaf"), LibvirtSettings(**deaf))
    waiting = asyncio.create_task(opened.call(lambda link: link.getType(), capability="probe"))
    await asyncio.sleep(0.05)
    await opened.close()
    with pytest.raises(Unreachable):
        await waiting


def test_pauses_grow_with_jitter_up_to_a_bound() -> None:
    pauses = [[pause_seconds(n) for _ in range(50)] for n in (1, 2, 5, 50)]
    assert all(0.125 <= p <= 0.25 for p in pauses[0])
    assert all(2 * 0.125 <= p <= 0.5 for p in pauses[1])
    assert all(15 <= p <= 30 for p in pauses[3])
    assert len(set(pauses[2])) > 1


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    opened = await DRIVER.connect(EndpointName("here"), LibvirtSettings(uri=HERE))
    yield opened
    await opened.close()


async def test_a_watch_that_is_too_slow_ends_so_that_its_reader_lists_afresh(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yamori.drivers.libvirt.changes._MOST_WAITING", 3)
    assert session.sensing.changes is not None
    assert session.acting.power is not None
    vm = (await session.sensing.inventory.read()).vms[0].id
    watch = session.sensing.changes.watch()
    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.1)
    for _ in range(10):
        await session.acting.power.pause(vm)
        await session.acting.power.resume(vm)
    await first
    await asyncio.sleep(0.2)
    with pytest.raises(Unreachable, match="list afresh"):
        await asyncio.wait_for(anext(watch), LONG)


async def test_a_vm_with_an_odd_definition_is_shown_and_named_as_incomplete(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", lambda _self, _flags=0: "<domain>&x;</domain>")
    listing = await session.sensing.inventory.read()
    assert len(listing.vms) == 1
    assert listing.vms[0].vcpus == 0
    assert listing.incomplete[0].startswith("test: malformed XML")


async def test_a_vm_that_vanishes_while_it_is_read_is_left_out(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_self: object, _flags: int = 0) -> str:
        error = libvirt.libvirtError("gone")
        error.err = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_TEST, "gone", 2, None, None, None, 0, 0)
        raise error

    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", gone)
    listing = await session.sensing.inventory.read()
    assert (listing.vms, listing.incomplete) == ((), ())


async def test_definitions_are_read_once_until_something_changes(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, reads = libvirt.virDomain.XMLDesc, []

    def counted(self: libvirt.virDomain, flags: int = 0) -> str:
        reads.append(self.name())
        return str(real(self, flags))

    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", counted)
    for _ in range(5):
        vm = (await session.sensing.inventory.read()).vms[0].id
    assert len(reads) == 1
    assert session.acting.power is not None
    await session.acting.power.pause(vm)
    await session.acting.power.resume(vm)
    async with asyncio.timeout(LONG):
        while len(reads) == 1:
            await session.sensing.inventory.read()
            await asyncio.sleep(0.02)


async def test_a_read_only_session_reads_and_offers_nothing_that_changes() -> None:
    session = await DRIVER.connect(EndpointName("ro"), LibvirtSettings(uri=HERE, read_only=True))
    try:
        assert (await session.sensing.inventory.read()).vms
        assert (session.acting.power, session.acting.limits, session.acting.migration) == (None, None, None)
        assert (await session.probe()).cells["power"].reason == "the connection is read-only"
        assert session.sensing.limits is not None
        vm = (await session.sensing.inventory.read()).vms[0].id
        assert (await session.sensing.limits.read(vm)).pinning is None
    finally:
        await session.close()


async def test_a_vm_that_nobody_knows_is_not_found_under_any_name(session: Session) -> None:
    for unknown in ("", "x", "6695eb01-f6a4-8304-79aa-97f2502e1930"):
        with pytest.raises(NotFound):
            await session.sensing.inventory.vm(VMId(unknown))
