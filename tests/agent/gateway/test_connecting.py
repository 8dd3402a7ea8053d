"""From a token to a session: an agent enrols, connects, and its host can be asked like any other."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.agent.fleet import Controller, serving, simulated, until, until_true
from yamori.capabilities.sensing.usage import Column
from yamori.control.agents import AgentState
from yamori.drivers.simulator import World
from yamori.model.errors import Invalid, NotFound, Unreachable
from yamori.model.ids import HostId, VMId
from yamori.model.limits import LimitKind
from yamori.model.support import FEATURES, Level
from yamori.trust.ledger import RecordKind


async def test_a_host_behind_an_agent_can_be_read_and_limited_like_any_other(
    controller: Controller, tmp_path: Path
) -> None:
    world = World()
    identity = await controller.enrolled()
    session = controller.session()
    async with serving(simulated(world), tmp_path / "agent", identity):
        await until(controller.connected)
        support = await session.probe()
        assert set(support.cells) == set(FEATURES)
        assert support.cells["limits.cpu_cap"].level is Level.AGENT
        assert not [cell for cell in support.cells.values() if cell.level is Level.NATIVE]

        listing = await session.sensing.inventory.read()
        assert [host.id for host in listing.hosts] == [HostId("rack-a")]
        assert {vm.host for vm in listing.vms} == {HostId("rack-a")}
        vm = listing.vms[0]
        assert await session.sensing.inventory.vm(vm.id) == vm

        world.advance(1.0)
        assert session.sensing.usage is not None
        frame = await session.sensing.usage.read()
        assert set(frame.vms) == {v.id for v in listing.vms}
        assert frame.hosts == (HostId("rack-a"),)
        assert (frame.column(Column.CPU_TIME) > 0).all()
        own = await simulated(world).sensing.usage.read()  # type: ignore[union-attr]
        assert np.array_equal(frame.values, own.values, equal_nan=True)

        assert session.acting.limits is not None
        assert session.sensing.limits is not None
        await session.acting.limits.set(vm.id, {LimitKind.CPU_CAP: 0.5}, lapse_s=60)
        assert (await session.sensing.limits.read(vm.id)).values[LimitKind.CPU_CAP] == 0.5
        await session.acting.limits.set(vm.id, {LimitKind.CPU_CAP: None})
        assert (await session.sensing.limits.read(vm.id)).values[LimitKind.CPU_CAP] is None
        await session.acting.limits.pin(vm.id, frozenset({0}))
        assert (await session.sensing.limits.read(vm.id)).pinning == frozenset({0})


async def test_errors_cross_the_wire_as_themselves(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    session = controller.session()
    assert session.acting.limits is not None
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        nobody = VMId("6f0c1d2e-0000-4000-8000-00000000ffff")
        with pytest.raises(NotFound):
            await session.sensing.inventory.vm(nobody)
        vm = (await session.sensing.inventory.read()).vms[0].id
        for wrong in (float("nan"), -1.0, 0.0, float("inf")):
            with pytest.raises(Invalid):
                await session.acting.limits.set(vm, {LimitKind.CPU_CAP: wrong})
        with pytest.raises(Invalid):
            await session.acting.limits.set(vm, {LimitKind.CPU_CAP: 1.0}, lapse_s=0)
        assert controller.connected()


async def test_while_the_agent_is_away_every_call_says_so_at_once(controller: Controller, tmp_path: Path) -> None:
    session = controller.session()
    with pytest.raises(Unreachable, match="has not connected since the start") as never:
        await session.probe()
    assert never.value.mend is not None
    assert "yamori agent token rack-a" in never.value.mend
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
    await until(lambda: not controller.connected())
    with pytest.raises(Unreachable, match="not connected since"):
        await session.sensing.inventory.read()


async def test_differences_of_time_stay_exact_across_a_restart_of_the_agent(
    controller: Controller, tmp_path: Path
) -> None:
    world = World()
    identity = await controller.enrolled()
    usage = controller.session().sensing.usage
    assert usage is not None
    frames = []
    for _ in range(2):
        async with serving(simulated(world), tmp_path / "agent", identity):
            await until(controller.connected)
            frames.append(await usage.read())
        await until(lambda: not controller.connected())
        world.advance(1.25)
    assert frames[1].read_at[0] - frames[0].read_at[0] == pytest.approx(1.25, abs=1e-9)


async def test_the_agent_comes_back_when_the_controller_does(controller: Controller, tmp_path: Path) -> None:
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        await controller.stop()
        await asyncio.sleep(1.5)
        await controller.start()
        await until(controller.connected)
        assert (await controller.session().sensing.inventory.read()).hosts


async def test_the_roster_and_the_ledger_tell_what_became_of_an_agent(
    controller: Controller, tmp_path: Path
) -> None:
    await controller.token("rack-b")
    identity = await controller.enrolled()
    async with serving(simulated(), tmp_path / "agent", identity):
        await until(controller.connected)
        views = {view.name: view for view in await controller.gateway.agents()}
        assert views["rack-b"].state is AgentState.INVITED  # type: ignore[index]
        view = views["rack-a"]  # type: ignore[index]
        assert (view.state, view.connected, view.error) == (AgentState.ENROLLED, True, None)
        assert view.expires_at == identity.certificate.not_after
        assert view.skew_s is not None
        assert abs(view.skew_s) < 60

        async def written() -> bool:
            return bool(await controller.records(RecordKind.AGENT_CONTACT))

        await until_true(written)
    assert [r["agent"] for r in await controller.records(RecordKind.AGENT_INVITED)] == ["rack-b", "rack-a"]
    (enrolled,) = await controller.records(RecordKind.AGENT_ENROLLED)
    assert enrolled["serial"] == identity.certificate.serial
    text = str([r.body for r in await controller.store.ledger.records(after=0, limit=100)])
    assert "ya1:" not in text
