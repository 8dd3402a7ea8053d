"""The vSphere driver, on VMware's API simulator, and our simulator look the same whatever is done to both."""

import asyncio

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.drivers.vsphere.by_hand import VCenterByHand
from tests.drivers.vsphere.conftest import settings_of
from yamori.drivers.simulator import SimulatorSession, VMShape, World, WorldShape
from yamori.drivers.vsphere import DRIVER
from yamori.lab.vsphere import VCenter
from yamori.model.ids import EndpointName
from yamori.testing.machine import VERBS, Side, machine


def simulated() -> Side:
    world = World(WorldShape(hosts=1, vms_per_host=2, vm=VMShape(memory_bytes=1 << 30)))
    session = SimulatorSession(world, EndpointName("simulated"))

    async def settle() -> None:
        world.advance(1.0)

    return Side(session=session, vms=world.vms(), settle=settle, close=session.close)


async def of_vcenter(vcenter: VCenter) -> Side:
    by_hand = VCenterByHand(vcenter)
    vms = tuple(by_hand.create() for _ in range(2))
    session = await DRIVER.connect(EndpointName("vcenter"), settings_of(vcenter))

    async def settle() -> None:
        await asyncio.sleep(0.05)

    async def close() -> None:
        await session.close()
        for vm in vms:
            by_hand.destroy(vm)
        by_hand.close()

    return Side(session=session, vms=vms, settle=settle, close=close)


def test_the_vsphere_driver_behaves_as_the_simulator_specifies(vcenter: VCenter) -> None:
    async def sides() -> tuple[Side, Side]:
        return simulated(), await of_vcenter(vcenter)

    run_state_machine_as_test(
        machine(sides, verbs=VERBS - {"reset"}),  # vSphere resets no suspended VM
        settings=settings(
            max_examples=10,
            stateful_step_count=12,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
