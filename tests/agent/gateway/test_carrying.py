"""The memory of moving VMs, asked of an agent over its connection: what comes back, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.agent.fleet import Controller, serving, simulated, until
from yamori.agent.gateway.session import RemoteSession
from yamori.capabilities.session import Acting, Sensing, Session
from yamori.model.errors import Busy, Conflict, Invalid, NotFound, Unreachable, Unsupported
from yamori.model.ids import HostId, VMId
from yamori.model.migration import Landing, MigrationPhase, MigrationStatus, StorageMode
from yamori.model.support import Support

VM = VMId("v1")
LANDING = Landing(host=HostId("b"), family="xen", uri="", address="127.0.9.2:49401", tls_name=None)


class Carrier:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.told: MigrationStatus | None = None
        self.refusal: Exception | None = None

    async def landing(self, vm: VMId, host: HostId) -> Landing:
        self._note("landing", vm)
        return replace(LANDING, address="127.0.9.1:49400", uri="secret of the agent")

    async def start(self, vm: VMId, landing: Landing, **more: Any) -> None:
        self._note("start", vm, landing.address, more["bandwidth_bytes_s"], more["key"])

    async def cancel(self, vm: VMId) -> None:
        self._note("cancel", vm)

    async def wait(self, vm: VMId) -> MigrationStatus:
        raise AssertionError("waiting is done by asking for the status")

    async def status(self, vm: VMId) -> MigrationStatus | None:
        return self.told

    async def forecast(self, vm: VMId, landing: Landing, **more: Any) -> Any:
        raise AssertionError("never asked")

    def _note(self, *words: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(words)


class Carrying:
    """A session that carries memory."""

    def __init__(self, session: Session, carrier: Carrier | None) -> None:
        self._session = session
        self._carrier = carrier

    @property
    def sensing(self) -> Sensing:
        return replace(self._session.sensing, migration=self._carrier)

    @property
    def acting(self) -> Acting:
        return replace(self._session.acting, migration=self._carrier)

    async def probe(self) -> Support:
        return await self._session.probe()

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
async def remote(controller: Controller, carrier: Carrier, tmp_path: Path) -> AsyncIterator[RemoteSession]:
    identity = await controller.enrolled()
    async with serving(Carrying(simulated(), carrier), tmp_path / "agent", identity):
        await until(controller.connected)
        yield controller.session()


async def _start(remote: RemoteSession, *, vm: VMId = VM, landing: Landing = LANDING, **more: Any) -> None:
    assert remote.acting.migration is not None
    await remote.acting.migration.start(
        vm, landing, **({"storage": StorageMode.SHARED, "bandwidth_bytes_s": None, "key": "k"} | more)
    )


async def test_what_is_asked_reaches_the_carrier_and_only_the_address_comes_back(
    remote: RemoteSession, carrier: Carrier
) -> None:
    assert remote.acting.migration is not None
    landing = await remote.acting.migration.landing(VM, HostId("rack-a"))
    assert (landing.address, landing.uri, landing.host) == ("127.0.9.1:49400", "", "rack-a")
    await _start(remote, bandwidth_bytes_s=5)
    await remote.acting.migration.cancel(VM)
    assert carrier.asked == [("landing", VM), ("start", VM, "127.0.9.2:49401", 5, "k"), ("cancel", VM)]


async def test_progress_is_told_and_waiting_ends_with_the_stream(remote: RemoteSession, carrier: Carrier) -> None:
    assert remote.acting.migration is not None
    assert remote.sensing.migration is not None
    assert await remote.sensing.migration.status(VM) is None
    with pytest.raises(NotFound):
        await remote.acting.migration.wait(VM)
    carrier.told = MigrationStatus(vm=VM, phase=MigrationPhase.RUNNING, processed_bytes=7, encrypted=True)
    assert await remote.sensing.migration.status(VM) == carrier.told
    waiting = asyncio.create_task(remote.acting.migration.wait(VM))
    await asyncio.sleep(0)
    carrier.told = replace(carrier.told, phase=MigrationPhase.FAILED, error="cut\x1b[2J")
    ended = await asyncio.wait_for(waiting, 60)
    assert (ended.phase, ended.error) == (MigrationPhase.FAILED, "cut [2J")


@pytest.mark.parametrize("error", [Conflict("sent already"), Busy("too many"), NotFound("no such VM")])
async def test_what_the_carrier_refuses_is_refused_in_its_words(
    remote: RemoteSession, carrier: Carrier, error: Exception
) -> None:
    carrier.refusal = error
    with pytest.raises(type(error), match=str(error)):
        await _start(remote)


async def test_what_makes_no_sense_is_not_even_sent(remote: RemoteSession, carrier: Carrier) -> None:
    for bandwidth in (0, -1, 2**80, True, 1.5):
        with pytest.raises(Invalid):
            await _start(remote, bandwidth_bytes_s=bandwidth)
    for address in (None, "10.0.0.1:49400", "127.0.9.2", "127.0.9.2:1"):
        with pytest.raises(Invalid):
            await _start(remote, landing=replace(LANDING, address=address))
    with pytest.raises(NotFound):
        await _start(remote, vm=VMId("../x"))
    assert remote.acting.migration is not None
    with pytest.raises(Invalid):
        await remote.acting.migration.landing(VM, HostId("elsewhere"))
    assert remote.sensing.migration is not None
    with pytest.raises(Unsupported):
        await remote.sensing.migration.forecast(VM, LANDING, storage=StorageMode.SHARED, bandwidth_bytes_s=None)
    assert not carrier.asked


async def test_an_agent_that_carries_nothing_says_so(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    async with serving(Carrying(simulated(), None), tmp_path / "agent", identity):
        await until(controller.connected)
        remote = controller.session()
        assert remote.acting.migration is not None
        assert remote.sensing.migration is not None
        for asked in (
            remote.acting.migration.landing(VM, HostId("rack-a")),
            _start(remote),
            remote.acting.migration.cancel(VM),
            remote.sensing.migration.status(VM),
        ):
            with pytest.raises(Unsupported, match="no memory"):
                await asked


async def test_while_the_agent_is_away_nothing_is_begun(controller: Controller) -> None:
    remote = controller.session()
    with pytest.raises(Unreachable):
        await _start(remote)
