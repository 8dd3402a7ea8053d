"""Two hosts, a and b, with their agents' ends of the passage, and a wire from a to b that can be cut or frozen."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from yamori.agent.passage.carrier import Carrier
from yamori.agent.passage.settings import PassageSettings
from yamori.agent.service.credentials import Credentials
from yamori.agent.service.identity import IdentityFile, apply
from yamori.model.errors import NotFound
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationStatus, StorageMode
from yamori.testing.conformance.patience import Eventually
from yamori.trust.authority import Authority, keep_authority

LOOPBACK = "127.0.0.1"
INNER = {"a": "127.0.9.1", "b": "127.0.9.2"}
ENTRANCE = {"a": "127.0.9.3", "b": "127.0.9.4"}
"""On two machines the entrance to a host has the address that the host has inside; here both are one machine."""
MARKER = b"YAMORI-MEMORY-MARKER-0123456789ab"
PATIENCE_S = 60.0
VM, OFF = VMId("vm-1"), VMId("vm-off")


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


END = b"this is all"


class Arrival:
    """The receiving hypervisor: waits on its loopback. A stream that is whole says so itself, as Xen's does."""

    clearing_s = 0.0
    """What it needs to give up a VM that has not arrived."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.has_let_go = False
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
            ended.set_result(received.endswith(END))
        if not ended.result():
            await asyncio.sleep(self.clearing_s)
        self.has_let_go = True
        writer.close()

    @property
    def looks_whole(self) -> bool:
        """Whether a stream came to its own end; none may have come at all."""
        return self.ended.done() and self.ended.result()

    def forget(self) -> None:
        """Be ready for the next."""
        self.ended, self.received = asyncio.get_running_loop().create_future(), bytearray()

    async def close(self) -> None:
        self._server.close()


class Host:
    """One host's agent: its identity on disk, and what carries memory."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        folder.mkdir()
        self.file = IdentityFile(folder)

    def enrol(self, authority: Authority, *, name: str | None = None) -> None:
        """Have a certificate, as after an enrolment or a renewal."""
        named = name or f"host-{self.name}"
        applicant = apply()
        issued = authority.issue_agent(named, applicant.request, datetime.now(UTC), timedelta(hours=1))
        self.file.write(
            applicant.accept(
                controller="controller:1",
                authority_pem=authority.pem,
                untrusted_certificate=issued.pem,
                name=named,
            )
        )

    async def open(self, settings: PassageSettings) -> None:
        self.carrier = Carrier(settings, Credentials(self.file), self._runs)
        await self.carrier.open()

    async def _runs(self, vm: VMId) -> bool:
        if vm not in (VM, OFF):
            raise NotFound("there is no such VM", subject=vm)
        return vm == VM


class World:
    """Both hosts. ``enrol`` before ``open``, unless somebody shall have no certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = self.another_authority("ours")
        self.opened = False
        self.outer = {name: free_port() for name in "ab"}
        self.wire = Wire(self.outer["b"])
        self.arrival = Arrival(free_port())
        self.a, self.b = (Host(folder / name, name) for name in "ab")

    def another_authority(self, name: str) -> Authority:
        (self._folder / name).mkdir()
        return keep_authority(self._folder / name, datetime.now(UTC))

    def settings(self, name: str, **more: object) -> PassageSettings:
        other = "b" if name == "a" else "a"
        peer = {
            "address": LOOPBACK,
            "port": self.wire.port if name == "a" else self.outer[other],
            "loopback": ENTRANCE[other],
        }
        return PassageSettings.model_validate(
            {
                "listen": LOOPBACK,
                "port": self.outer[name],
                "loopback": INNER[name],
                "first_port": self.arrival.port,
                "ports": 1,
                "peers": {f"host-{other}": peer},
                "stalled_s": 2.0,
            }
            | more
        )

    async def open(self, a: PassageSettings | None = None, b: PassageSettings | None = None) -> None:
        for host in (self.a, self.b):
            if host.file.stamp() is None:
                host.enrol(self.authority)
        self.opened = True
        await self.wire.open()
        await self.arrival.open()
        await self.a.open(a or self.settings("a"))
        await self.b.open(b or self.settings("b"))

    async def close(self) -> None:
        if self.opened:
            await self.a.carrier.close()
            await self.b.carrier.close()
            await self.arrival.close()
            await self.wire.close()

    def landing(self, port: int | None = None) -> Landing:
        """As a's libvirt sees it: the address of b on a's own loopback."""
        address = f"{ENTRANCE['b']}:{port or self.arrival.port}"
        return Landing(host=HostId("b"), family="xen", uri="", address=address, tls_name=None)

    async def announce(
        self, *, key: str = "move", bandwidth_bytes_s: int | None = None, landed: bool = True
    ) -> None:
        """Say at both ends that a stream will come, as a move does."""
        if landed:
            landing = await self.b.carrier.landing(VM, HostId("b"))
            assert landing.address == f"{INNER['b']}:{self.arrival.port}"
        await self.begin(self.landing(), key=key, bandwidth_bytes_s=bandwidth_bytes_s)

    async def begin(
        self,
        landing: Landing,
        *,
        vm: VMId = VM,
        key: str = "move",
        bandwidth_bytes_s: int | None = None,
        address: str | None = None,
    ) -> None:
        where = landing if address is None else replace(landing, address=address)
        await self.a.carrier.start(
            vm, where, storage=StorageMode.SHARED, bandwidth_bytes_s=bandwidth_bytes_s, key=key
        )

    async def send(self, memory: bytes, *, after: Callable[[], None] | None = None) -> bool:
        """The sending hypervisor: whether all could be handed over. ``after`` a quarter something is done."""
        try:
            _, writer = await asyncio.open_connection(ENTRANCE["b"], self.arrival.port)
        except OSError:
            return False
        memory += END
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

    async def ended(self) -> MigrationStatus:
        """How the stream ended, as the agent at a says."""
        return await asyncio.wait_for(self.a.carrier.wait(VM), PATIENCE_S)

    async def passes(self) -> bool:
        """Whether a stream comes through, announced anew."""
        self.arrival.forget()
        await self.announce(key="again")
        sent = await self.send(MARKER)
        if not sent or not await asyncio.wait_for(self.arrival.ended, PATIENCE_S):
            return False
        carried = (await self.ended()).processed_bytes
        return carried == len(MARKER + END) and bytes(self.arrival.received) == MARKER + END


async def carrying(world: World, enough: int) -> None:
    """Wait until so many bytes are on their way."""

    async def moving() -> bool:
        status = await world.a.carrier.status(VM)
        return status is not None and (status.processed_bytes or 0) >= enough

    await Eventually()(moving, f"{enough} bytes were carried")
