"""Memory streams between two hosts: whole or visibly broken, never readable on the way, only between peers."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from yamori.agent.passage.passage import Passage
from yamori.agent.passage.settings import PassageSettings
from yamori.lab.pki import Authority
from yamori.testing.conformance.patience import Eventually

LOOPBACK = "127.0.0.1"
INNER = {"a": "127.0.9.1", "b": "127.0.9.2"}
ENTRANCE = {"a": "127.0.9.3", "b": "127.0.9.4"}
"""On two machines the entrance to a host has the address that the host has inside; here both are one machine."""
MARKER = b"YAMORI-MEMORY-MARKER-0123456789ab"
PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Wire:
    """The network between the hosts: keeps what passes, and can be cut or frozen."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = free_port()
        self.seen = bytearray()
        self.frozen = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._to)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(1 << 16):
                if self.frozen.is_set():
                    await asyncio.Event().wait()
                self.seen += piece
                sink.write(piece)
                await sink.drain()
        except OSError:
            sink.transport.abort()
        else:
            sink.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        self._server.close()


class Arrival:
    """The receiving hypervisor: waits on its loopback. ``whole`` is set only by a tidy end of the stream."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received = bytearray()
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, INNER["b"], self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended, received = self.ended, self.received
        try:
            while piece := await reader.read(1 << 16):
                received += piece
        except OSError:
            ended.set_result(False)
        else:
            ended.set_result(True)
        writer.close()

    @property
    def looks_whole(self) -> bool:
        """Whether a stream came to a tidy end; none may have come at all."""
        return self.ended.done() and self.ended.result()

    def forget(self) -> None:
        """Be ready for the next."""
        self.ended, self.received = asyncio.get_running_loop().create_future(), bytearray()

    async def close(self) -> None:
        self._server.close()


class World:
    """Two hosts, a and b, and the wire from a to b."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority("test CA")
        self._foreign = Authority("foreign CA")
        self.opened = False
        self.outer = {name: free_port() for name in "ab"}
        self.wire = Wire(self.outer["b"])
        self.arrival = Arrival(free_port())
        self.passages: dict[str, Passage] = {}

    def settings(self, name: str, *, foreign: bool = False, **more: object) -> PassageSettings:
        other = "b" if name == "a" else "a"
        authority = self._foreign if foreign else self._authority
        identity = authority.issue(f"host-{name}", address=LOOPBACK, server=True, client=True)
        folder = self._folder / f"{name}{foreign}"
        folder.mkdir()
        (folder / "ca.pem").write_bytes(self._authority.certificate)
        (folder / "cert.pem").write_bytes(identity.certificate)
        (folder / "key.pem").write_bytes(identity.key)
        peer = {
            "address": LOOPBACK,
            "port": self.wire.port if name == "a" else self.outer[other],
            "loopback": ENTRANCE[other],
            "tls_name": f"host-{other}",
        }
        return PassageSettings.model_validate(
            {
                "listen": LOOPBACK,
                "port": self.outer[name],
                "loopback": INNER[name],
                "first_port": self.arrival.port,
                "ports": 1,
                "authority": folder / "ca.pem",
                "certificate": folder / "cert.pem",
                "key": folder / "key.pem",
                "peers": {other: peer},
                "stalled_s": 2.0,
            }
            | more
        )

    async def open(self, a: PassageSettings | None = None, b: PassageSettings | None = None) -> None:
        self.opened = True
        await self.wire.open()
        await self.arrival.open()
        for name, given in (("a", a), ("b", b)):
            self.passages[name] = Passage(given or self.settings(name))
            await self.passages[name].open()

    async def close(self) -> None:
        for passage in self.passages.values():
            await passage.close()
        if self.opened:
            await self.arrival.close()
            await self.wire.close()

    async def send(self, memory: bytes, *, after: Callable[[], None] | None = None) -> bool:
        """The sending hypervisor: whether all could be handed over. ``after`` a quarter something is done."""
        _, writer = await asyncio.open_connection(ENTRANCE["b"], self.arrival.port)
        try:
            for start in range(0, len(memory), 1 << 16):
                writer.write(memory[start : start + (1 << 16)])
                await writer.drain()
                if after is not None and start > len(memory) // 4:
                    after()
                    after = None
            writer.write_eof()
        except OSError:
            return False
        finally:
            writer.close()
        return True


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


async def test_a_memory_stream_arrives_whole_and_nobody_on_the_wire_can_read_it(world: World) -> None:
    await world.open()
    memory = MARKER * (8 << 20 >> 5) + os.urandom(1 << 20)
    assert await world.send(memory)
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    assert bytes(world.arrival.received) == memory
    assert len(world.wire.seen) > len(memory)
    assert MARKER not in world.wire.seen
    assert MARKER[:16] not in world.wire.seen


async def test_a_cut_in_the_middle_is_seen_as_a_break_on_both_sides(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.open()
    sent = await world.send(MARKER * (16 << 20 >> 5), after=world.wire.cut)
    assert not sent
    await _settled(world, "b")
    assert not world.arrival.looks_whole, "half a VM looked like a whole one"
    assert MARKER.decode() not in caplog.text


async def test_a_wire_that_swallows_everything_is_given_up(world: World) -> None:
    await world.open()
    sent = await asyncio.wait_for(world.send(MARKER * (64 << 20 >> 5), after=world.wire.frozen.set), PATIENCE_S)
    assert not sent


async def test_a_stream_that_is_broken_off_by_hand_breaks_and_the_next_one_passes(world: World) -> None:
    await world.open()
    loop = asyncio.get_running_loop()
    breaks: list[asyncio.Task[int]] = []
    sent = await world.send(
        MARKER * (16 << 20 >> 5),
        after=lambda: breaks.append(loop.create_task(world.passages["a"].break_off())),
    )
    assert not sent
    assert await breaks[0] == 1
    await _settled(world, "b")
    assert not world.arrival.looks_whole
    world.arrival.forget()
    assert await world.send(MARKER)
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    assert bytes(world.arrival.received) == MARKER


async def test_a_stream_keeps_to_its_bandwidth(world: World) -> None:
    await world.open(a=world.settings("a", bytes_s=1 << 20))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await world.send(bytes(3 << 20))
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    assert loop.time() - began > 2.0


@pytest.mark.parametrize("liar", ["a", "b"])
async def test_a_certificate_of_another_authority_gets_nothing_through(world: World, liar: str) -> None:
    await world.open(**{liar: world.settings(liar, foreign=True)})
    await world.send(MARKER * 100)
    await _settled(world, "a")
    assert not world.arrival.received
    assert MARKER not in world.wire.seen


async def test_a_peer_with_another_name_than_ours_gets_nothing_from_us(world: World) -> None:
    settings = world.settings("a")
    peer = settings.peers["b"].model_copy(update={"tls_name": "host-c"})
    await world.open(a=settings.model_copy(update={"peers": {"b": peer}}))
    await world.send(MARKER * 100)
    await _settled(world, "a")
    assert not world.arrival.received


async def test_a_certificate_of_our_authority_that_is_no_peer_s_reaches_no_hypervisor(world: World) -> None:
    settings = world.settings("b")
    peer = settings.peers["a"].model_copy(update={"tls_name": "host-c"})
    await world.open(b=settings.model_copy(update={"peers": {"a": peer}}))
    await world.send(MARKER * 100)
    await _settled(world, "b")
    assert not world.arrival.ended.done()


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 4096, b"GET / HTTP/1.0\r\n\r\n", MARKER * 1000])
async def test_garbage_at_the_door_is_refused_and_the_door_stays_open(world: World, garbage: bytes) -> None:
    await world.open()
    _, writer = await asyncio.open_connection(LOOPBACK, world.outer["b"])
    writer.write(garbage)
    with_error: list[OSError] = []
    try:
        await writer.drain()
    except OSError as error:
        with_error.append(error)
    writer.close()
    assert await world.send(MARKER)
    assert await asyncio.wait_for(world.arrival.ended, PATIENCE_S)
    assert bytes(world.arrival.received) == MARKER


async def test_where_no_hypervisor_waits_the_stream_breaks(world: World) -> None:
    await world.open()
    await world.arrival.close()
    await world.send(MARKER * (1 << 20 >> 5))
    await _settled(world, "b")
    assert world.passages["b"].broken == 1


async def _settled(world: World, name: str) -> None:
    """Wait until a passage has broken a stream off."""
    passage = world.passages[name]

    async def broken() -> bool:
        return passage.broken > 0

    await Eventually()(broken, f"{name} broke a stream off")


async def test_a_peer_reaches_no_port_but_those_where_memory_arrives(world: World) -> None:
    settings = world.settings("a")
    first = free_port()
    await world.open(a=settings.model_copy(update={"first_port": first}))
    _, writer = await asyncio.open_connection(ENTRANCE["b"], first)
    writer.write(MARKER)
    await _settled(world, "b")
    writer.close()
    assert not world.arrival.ended.done()


@pytest.mark.parametrize("loopback", ["10.0.0.1", "127.0.0.256", "localhost", "::1", "127.0.0.1.5"])
async def test_memory_is_never_taken_from_or_handed_to_an_address_that_others_reach(
    world: World, loopback: str
) -> None:
    with pytest.raises(ValidationError):
        world.settings("a", loopback=loopback)
