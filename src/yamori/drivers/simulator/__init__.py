"""The simulator: the executable specification of a hypervisor. Deterministic, seeded, with its own time."""

from yamori.drivers.simulator.demand import Burst, Demand, Profile, Series
from yamori.drivers.simulator.faults import Fault
from yamori.drivers.simulator.quality import QUALITY
from yamori.drivers.simulator.service import Service
from yamori.drivers.simulator.session import SimulatorSession, connect
from yamori.drivers.simulator.settings import HostShape, SimulatorSettings, VMShape, WorldShape
from yamori.drivers.simulator.world import World
from yamori.manifest.driver import DriverManifest

DRIVER = DriverManifest(
    name="simulator",
    settings=SimulatorSettings,
    connect=connect,
    summary="Simulated hosts and VMs in one process: for tests, benchmarks and the demo without a hypervisor",
    quality=QUALITY,
)

__all__ = [
    "DRIVER",
    "Burst",
    "Demand",
    "Fault",
    "HostShape",
    "Profile",
    "Series",
    "Service",
    "SimulatorSession",
    "SimulatorSettings",
    "VMShape",
    "World",
    "WorldShape",
    "connect",
]
