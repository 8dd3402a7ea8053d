"""libvirt's built-in test driver and the simulator look the same whatever is done to both."""

import asyncio
import itertools

import libvirt
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from yamori.drivers.libvirt import DRIVER
from yamori.drivers.libvirt.connection import start_event_loop
from yamori.drivers.simulator import SimulatorSession, VMShape, World, WorldShape
from yamori.model.errors import Unreachable
from yamori.model.ids import EndpointName, VMId
from yamori.testing.machine import Side, machine

URI = "test:///default"
_NUMBERS = itertools.count(1)
_XML = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>512</memory><vcpu>2</vcpu>
<os><type>hvm</type></os><devices><interface type='network'><mac address='52:54:00:00:00:01'/>
<source network='default'/></interface><memballoon model='virtio'/></devices></domain>"""


def simulated() -> Side:
    world = World(WorldShape(hosts=1, vms_per_host=2, vm=VMShape(memory_bytes=512 << 20)))
    session = SimulatorSession(world, EndpointName("simulated"))

    async def settle() -> None:
        world.advance(1.0)

    return Side(session=session, vms=world.vms(), settle=settle, close=session.close)


async def built_in() -> Side:
    start_event_loop()
    by_hand = libvirt.open(URI)
    domains = []
    for _ in range(2):
        number = next(_NUMBERS)
        uuid = f"bbbbbbbb-0000-4000-8000-{number:012d}"
        domains.append(by_hand.defineXML(_XML.format(name=f"machine-{number}", uuid=uuid)))
        domains[-1].create()
    session = await DRIVER.connect(EndpointName("built-in"), DRIVER.settings(uri=URI))
    for _ in range(300):
        try:
            await session.probe()
            break
        except Unreachable:
            await asyncio.sleep(0.1)

    async def settle() -> None:
        await asyncio.sleep(0.05)

    async def close() -> None:
        await session.close()
        for domain in domains:
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        by_hand.close()

    vms = tuple(VMId(domain.UUIDString()) for domain in domains)
    return Side(session=session, vms=vms, settle=settle, close=close)


async def sides() -> tuple[Side, Side]:
    return simulated(), await built_in()


def test_the_built_in_driver_behaves_as_the_simulator_specifies() -> None:
    run_state_machine_as_test(
        machine(sides),
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
