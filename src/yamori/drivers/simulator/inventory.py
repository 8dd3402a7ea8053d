"""Hosts and VMs. A VM value is built when asked for, and again only when something about it has changed."""

from yamori.capabilities.sensing.inventory import Listing
from yamori.drivers.simulator.columns import WORDS
from yamori.drivers.simulator.connection import Connection
from yamori.model.errors import NotFound
from yamori.model.host import Host
from yamori.model.ids import VMId
from yamori.model.vm import VM, Disk, Nic, PowerState

HYPERVISOR = "simulator"
VERSION = "1"


class SimulatorInventory:
    """The sensing capability ``inventory``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._built: dict[int, tuple[int, VM]] = {}

    async def read(self) -> Listing:
        """List everything at this endpoint; VMs that are just arriving are shown as incoming."""
        async with self._connection.door("inventory.read"):
            rows = self._connection.rows()
            versions = self._connection.world.columns.version[rows].tolist()
            vms = [self._vm(row, version) for row, version in zip(rows.tolist(), versions, strict=True)]
            arriving = self._connection.world.moves.arriving(self._connection.host_set)
            vms += [self._build(move.row, incoming=move.destination) for move in arriving]
            return Listing(hosts=tuple(self._host(row) for row in self._connection.hosts), vms=tuple(vms))

    async def vm(self, vm: VMId) -> VM:
        """Read one VM afresh."""
        async with self._connection.door("inventory.vm", vm):
            world = self._connection.world
            for move in world.moves.arriving(self._connection.host_set):
                if move.vm == vm and int(world.columns.host[move.row]) not in self._connection.host_set:
                    return self._build(move.row, incoming=move.destination)
            row = self._connection.row(vm)
            return self._vm(row, int(world.columns.version[row]))

    def _vm(self, row: int, version: int) -> VM:
        known = self._built.get(row)
        if known is not None and known[0] == version:
            return known[1]
        built = self._build(row)
        self._built[row] = (version, built)
        return built

    def _build(self, row: int, incoming: int | None = None) -> VM:
        world = self._connection.world
        c = world.columns
        state = self._connection.state(row)
        if state not in WORDS:
            raise NotFound("the VM is gone", subject=world.ids[row])
        host = int(c.host[row]) if incoming is None else incoming
        return VM(
            id=world.ids[row],
            name=world.names[row],
            host=self._connection.host_ids[host],
            state=WORDS[state] if incoming is None else PowerState.INCOMING,
            vcpus=int(c.vcpus[row]),
            memory_bytes=int(c.assigned[row]),
            memory_max_bytes=int(c.memory_max[row]),
            disks=(
                Disk(target="disk0", capacity_bytes=int(c.disk_bytes[row]), shared=world.shape.shared_storage),
            ),
            nics=(Nic(target=f"port-{row}", mac=world.mac(row), network="lan"),),
            labels=dict(world.labels[row]),
            persistent=bool(c.persistent[row]),
        )

    def _host(self, row: int) -> Host:
        world = self._connection.world
        return Host(
            id=self._connection.host_ids[row],
            name=world.hardware.names[row],
            hypervisor=HYPERVISOR,
            hypervisor_version=VERSION,
            cpus=int(world.hardware.cpus[row]),
            memory_bytes=int(world.hardware.memory[row]),
            site=world.name,
        )
