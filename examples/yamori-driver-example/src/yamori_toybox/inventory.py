"""Hosts and VMs."""

from yamori.capabilities.sensing.inventory import Listing
from yamori.model.errors import NotFound
from yamori.model.host import Host
from yamori.model.ids import HostId, VMId
from yamori.model.vm import VM
from yamori_toybox.connection import Connection
from yamori_toybox.translate import MIB, vm


class ToyboxInventory:
    """The capability ``inventory``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._host = HostId(connection.endpoint)

    async def read(self) -> Listing:
        described, release, cores, ram_mb = await self._connection.call(
            lambda box: (box.describe(), box.release, box.cores, box.ram_mb)
        )
        name, _, version = release.partition(" ")
        host = Host(
            id=self._host,
            name=str(self._host),
            hypervisor=name.lower(),
            hypervisor_version=version,
            cpus=cores,
            memory_bytes=ram_mb * MIB,
        )
        return Listing(hosts=(host,), vms=tuple(vm(each, self._host) for each in described))

    async def vm(self, vm: VMId) -> VM:
        for each in (await self.read()).vms:
            if each.id == vm:
                return each
        raise NotFound("the box has no such machine", subject=vm[:100])
