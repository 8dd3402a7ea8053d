"""Running domains of libvirt's test driver for a benchmark."""

from types import TracebackType
from typing import Any, Self

from yamori.bench.counting import CountingConnection
from yamori.bench.result import Progress
from yamori.drivers.libvirt.connection import Connection
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.model.ids import EndpointName

DOMAIN = """
<domain type='test'>
  <name>bench-{number}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/nowhere/{number}.raw'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'><source network='default'/><target dev='vnet{number}'/></interface>
  </devices>
</domain>
"""
_SECONDS = 600.0


class Domains:
    """So many running domains for as long as the block lasts; read through ``connection``, calls are counted."""

    def __init__(self, number: int, progress: Progress) -> None:
        settings = LibvirtSettings.model_validate({"uri": "test:///default", "timeouts": {"read_s": 120}})
        self._connection = Connection(EndpointName("bench"), settings)
        self.connection = CountingConnection(self._connection, seconds=_SECONDS)
        self._number = number
        self._progress = progress
        self._made: list[Any] = []

    async def __aenter__(self) -> Self:
        self._progress(f"collect: making {self._number} domains")

        def make(bare: Any) -> None:
            self._made.extend(bare.createXML(DOMAIN.format(number=i), 0) for i in range(self._number))

        await self._connection.call(make, capability="bench", seconds=_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        def unmake(_bare: Any) -> None:
            for domain in self._made:
                domain.destroy()

        await self._connection.call(unmake, capability="bench", seconds=_SECONDS)
        await self._connection.close()
