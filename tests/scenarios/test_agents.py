"""A whole Yamori whose hypervisor lacks a lot, and an agent on the host that adds it, over a real connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent.fleet import serving
from tests.agent.halves import BY_AGENT, BY_BOTH, AgentHalf
from tests.scenarios.fleet import ENFORCE, SPEED, until
from yamori import wiring
from yamori.agent.service.enrolling import enrol
from yamori.agent.service.identity import Identity
from yamori.control.configuration import configure
from yamori.control.facade import Contact, Facade
from yamori.drivers.simulator import Demand, HostShape, SimulatorSession, VMShape, World, WorldShape
from yamori.drivers.simulator.session import world_named
from yamori.model.actions import Throttle
from yamori.model.ids import EndpointName, VMId
from yamori.model.limits import LimitKind
from yamori.model.run import RunState
from yamori.model.support import FEATURES, Level
from yamori.trust.enrolment import read_token_text

GIB = 1 << 30
NAME = "alpha"


@dataclass
class House:
    """One host of a simulated world, its service, and what its agent needs to come."""

    world: World
    service: wiring.Service
    identity: Identity
    folder: Path

    @property
    def facade(self) -> Facade:
        return self.service.facade

    @property
    def vm(self) -> VMId:
        return self.world.vms("host-0")[0]

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """Have the agent run."""
        foreign = {f: "not the agent's business" for f in FEATURES if f not in BY_AGENT and f != "inventory"}
        half = AgentHalf(SimulatorSession(self.world, EndpointName("here"), hosts=["host-0"], without=foreign))
        async with serving(half, self.folder, self.identity):
            yield


def world(name: str) -> World:
    return world_named(
        name,
        WorldShape(
            hosts=1,
            vms_per_host=4,
            host=HostShape(cpus=4, memory_bytes=16 * GIB, disk_iops=4000.0),
            vm=VMShape(vcpus=4, memory_bytes=2 * GIB),
            step_s=0.1,
            seed=11,
            sla=("bronze", "silver", "gold", "bronze"),
        ),
    )


@contextlib.asynccontextmanager
async def living(name: str, tmp_path: Path) -> AsyncIterator[House]:
    fleet = {
        "tick_s": 1.0 / SPEED,
        "agents": {"listen": "127.0.0.1:0"},
        "endpoints": [
            {
                "name": NAME,
                "driver": "simulator",
                "agent": "remote",
                "world": name,
                "hosts": ["host-0"],
                "follow": SPEED,
                "without": dict.fromkeys(sorted(BY_AGENT - BY_BOTH), "the hypervisor lacks it"),
            }
        ],
    }
    there = world(name)
    async with wiring.service(
        configure(json.dumps(fleet), "test"),
        policy_text=ENFORCE,
        policy_source="test policy",
        state_dir=tmp_path / "state",
        listen="127.0.0.1:0",
    ) as service:
        invitation = await service.facade.invite_agent(NAME, by="test")
        identity = await enrol(invitation.controller, read_token_text(invitation.token.reveal()))
        yield House(world=there, service=service, identity=identity, folder=tmp_path / "agent")


async def complete(house: House) -> bool:
    endpoint = next(e for e in house.facade.endpoints() if e.name == NAME)
    known = any(v.rates["cpu_cores"] is not None for v in house.facade.vms())
    return endpoint.contact is Contact.UP and endpoint.gap is None and known


async def dark(house: House) -> bool:
    endpoint = next(e for e in house.facade.endpoints() if e.name == NAME)
    return endpoint.contact is Contact.UP and endpoint.gap is not None


async def unknown(house: House) -> bool:
    return all(rate is None for view in house.facade.vms() for rate in view.rates.values())


async def test_the_guard_holds_an_offender_by_what_the_agent_adds(tmp_path: Path) -> None:
    async with living("agents-held", tmp_path) as house, house.agent():
        await until(lambda: complete(house))
        cells = house.facade.support()[EndpointName(NAME)].cells
        assert cells["limits.disk_iops"].level is Level.AGENT
        assert cells["limits.cpu_cap"].level is Level.NATIVE
        await asyncio.sleep(1.0)
        house.world.set_demand(house.vm, Demand(disk_read_iops=60_000.0, disk_write_iops=20_000.0))

        async def held() -> bool:
            return any(
                r.subject == house.vm
                and isinstance(r.decision.action, Throttle)
                and r.state is RunState.VERIFIED
                and {LimitKind.DISK_IOPS, LimitKind.DISK_BANDWIDTH} & set(r.decision.action.limits)
                for r in await house.facade.runs(limit=20)
            )

        await until(held)


async def test_an_agent_that_dies_leaves_a_gap_that_ends_when_it_is_back(tmp_path: Path) -> None:
    async with living("agents-gap", tmp_path) as house:
        await until(lambda: dark(house))
        async with house.agent():
            await until(lambda: complete(house))
        await until(lambda: dark(house))
        await until(lambda: unknown(house))
        read = await house.facade.limits(house.vm)
        assert "agent" in read.unknown[LimitKind.NET_OUT]
        assert LimitKind.CPU_CAP in read.values
        async with house.agent():
            await until(lambda: complete(house))


async def test_a_throttle_ends_in_its_time_though_the_controller_is_gone(tmp_path: Path) -> None:
    there = world("agents-alone")
    async with contextlib.AsyncExitStack() as outlives:
        async with living("agents-alone", tmp_path) as house:
            await outlives.enter_async_context(house.agent())
            await until(lambda: complete(house))
            action = Throttle(vm=house.vm, limits={LimitKind.NET_OUT: 1e6}, expires_after_s=30.0)
            _, run = await house.facade.request(action, by="test", reason="test", dry_run=False)
            assert run is not None
            assert (await house.facade.wait(run.id)).state is RunState.VERIFIED
            vm = house.vm
        column = there.columns.limit(LimitKind.NET_OUT)
        row = there.row(vm)
        assert column[row] == pytest.approx(1e6)
        there.advance(40)
        assert there.columns.limit(LimitKind.NET_OUT)[row] > 1e12, "nobody was there, and it ended"
