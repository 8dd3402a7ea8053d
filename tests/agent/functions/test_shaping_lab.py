"""The agent beside real libvirt shapes the cards of real guests; the kit's promises hold for the two joined."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.agent.functions.lab_flood import Flood, enters
from tests.by_hand import ByHand
from tests.lab_session import settings_of
from yamori.agent.functions import Function, HostSettings, open_host
from yamori.agent.joined import JoinedSession
from yamori.capabilities.session import Session
from yamori.drivers.libvirt import DRIVER
from yamori.lab.lab import Lab
from yamori.lab.spec import GuestPlan
from yamori.model.errors import Conflict, NotFound, Unreachable
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import Level
from yamori.testing.conformance.limits import LimitsContract
from yamori.testing.conformance.patience import Eventually
from yamori.testing.conformance.support import SupportContract

pytestmark = pytest.mark.lab
HOME = "host-a"
IN, OUT = LimitKind.NET_IN, LimitKind.NET_OUT


def agent_settings(lab: Lab, state: Path) -> HostSettings:
    socket = f"/proc/{lab.host(HOME).init().pid}/root/run/libvirt/libvirt-sock"
    return HostSettings(
        host=HOME,
        hypervisor="qemu",
        functions=frozenset({Function.NET}),
        libvirt_uri=f"qemu+unix:///system?socket={socket}",
        state_dir=str(state),
    )


async def open_joined(lab: Lab, state: Path) -> Session:
    native = await DRIVER.connect(EndpointName(HOME), settings_of(lab, HOME))
    agent = await open_host(agent_settings(lab, state), enter=enters(lab.layout.host_namespace(HOME)))
    joined = JoinedSession(EndpointName(HOME), native, agent)
    await joined.probe()
    return joined


class Whole:
    variant = None  # the matrix of QEMU hosts is filled by its own test

    @pytest.fixture
    def plan(self, lab: Lab) -> GuestPlan:
        return next(p for p in lab.spec.guests() if p.host == HOME)

    @pytest.fixture
    def vm(self, plan: GuestPlan, by_hand: ByHand) -> Iterator[VMId]:
        vm = VMId(plan.uuid)
        by_hand.bring_home(vm)
        yield vm
        by_hand.bring_home(vm)

    @pytest.fixture
    async def session(self, lab: Lab, tmp_path: Path, vm: VMId) -> AsyncIterator[Session]:
        session = await open_joined(lab, tmp_path)
        yield session
        if session.acting.limits is not None:
            await _freed(session, vm)
        await session.close()

    @pytest.fixture
    async def second(self, lab: Lab, tmp_path: Path) -> AsyncIterator[Session]:
        session = await open_joined(lab, tmp_path)
        yield session
        await session.close()

    @pytest.fixture
    def eventually(self) -> Eventually:
        return Eventually(tries=900)


async def _freed(session: Session, vm: VMId) -> None:
    assert session.acting.limits is not None
    with suppress(Conflict, NotFound, Unreachable):  # the VM was stopped, or the session closed
        await session.acting.limits.set(vm, {IN: None, OUT: None})


class TestLimits(Whole, LimitsContract): ...


class TestSupport(Whole, SupportContract): ...


class TestShaping(Whole):
    @pytest.fixture
    def flood(self, lab: Lab, plan: GuestPlan) -> Iterator[Flood]:
        flood = Flood(lab, plan)
        yield flood
        flood.stop()

    async def test_the_agent_adds_what_libvirt_lacks(self, session: Session) -> None:
        cells = (await session.probe()).cells
        assert cells["limits.net_in"].level is Level.AGENT
        assert cells["limits.net_out"].level is Level.AGENT
        assert cells["limits.expiry"].level is Level.AGENT

    async def test_what_comes_from_the_guest_keeps_to_its_bound_and_is_free_after(
        self, session: Session, vm: VMId, flood: Flood, eventually: Eventually
    ) -> None:
        assert session.acting.limits is not None
        flood.start()

        async def rate() -> float:
            return await asyncio.to_thread(flood.answered_per_s, 2.0)

        async def answers() -> bool:
            return await rate() > 100_000

        await eventually(answers, "the guest answers")
        free = await rate()
        await session.acting.limits.set(vm, {OUT: free / 4})

        async def bounded() -> bool:
            return free / 16 < await rate() <= free / 4 * 1.4

        await eventually(bounded, f"the guest, at {free:.0f} B/s, keeps to a quarter")
        await session.acting.limits.set(vm, {OUT: None})

        async def back() -> bool:
            return await rate() >= free / 2

        await eventually(back, "the guest is free")

    async def test_what_goes_to_the_guest_keeps_to_its_bound(
        self, session: Session, vm: VMId, flood: Flood, eventually: Eventually
    ) -> None:
        assert session.acting.limits is not None
        flood.start()
        bound = 100_000.0
        await session.acting.limits.set(vm, {IN: bound})

        async def bounded() -> bool:
            return bound / 4 < await asyncio.to_thread(flood.answered_per_s, 2.0) <= bound * 1.4

        await eventually(bounded, "the guest is asked no more than its bound lets through")

    async def test_a_limit_ends_by_itself_though_the_agent_was_away(
        self, lab: Lab, session: Session, vm: VMId, tmp_path: Path, eventually: Eventually
    ) -> None:
        assert session.acting.limits is not None
        await session.acting.limits.set(vm, {OUT: 250_000.0, IN: 250_000.0}, lapse_s=2)
        await session.close()
        await asyncio.sleep(2.5)
        again = await open_joined(lab, tmp_path)
        try:

            async def ended() -> bool:
                assert again.sensing.limits is not None
                held = (await again.sensing.limits.read(vm)).values
                return held[OUT] is None and held[IN] is None

            await eventually(ended, "both limits have ended")
        finally:
            await again.close()
