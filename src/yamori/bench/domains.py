"""Domains of libvirt's test driver for a benchmark, and reading them one by one as exporters do."""

import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

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
_CARD = re.compile(r"<interface.*?<target dev='([^']+)'", re.S)


class Counted:
    """One of libvirt's objects; ``count`` is told of every call of a method."""

    def __init__(self, what: Any, count: Callable[[], None]) -> None:
        self._what = what
        self._count = count

    def __getattr__(self, name: str) -> Any:
        self._count()
        return getattr(self._what, name)


class Domains:
    """So many running domains for as long as the block lasts; read through it, calls are counted."""

    def __init__(self, number: int, progress: Progress) -> None:
        settings = LibvirtSettings.model_validate({"uri": "test:///default", "timeouts": {"read_s": 120}})
        self.settings = settings
        self._connection = Connection(EndpointName("bench"), settings)
        self._number = number
        self._progress = progress
        self._calls = 0
        self._made: list[Any] = []

    def calls(self) -> int:
        """How many calls of libvirt were made."""
        return self._calls

    def count(self) -> None:
        """One more."""
        self._calls += 1

    async def call(self, job: Callable[[Any], Any], *, capability: str) -> Any:
        """Run a job with libvirt's connection, as the driver's own connection does."""
        return await self._connection.call(
            lambda link: job(Counted(link, self.count)), capability=capability, seconds=_SECONDS
        )

    async def one_by_one(self) -> None:
        """Six calls a domain: state, definition, memory, vCPUs, its disk, its card."""
        await self.call(self._one_by_one, capability="bench")

    def _one_by_one(self, link: Any) -> None:
        for domain in link.listAllDomains():
            counted = Counted(domain, self.count)
            counted.info()
            card = _CARD.search(counted.XMLDesc())
            counted.memoryStats()
            counted.vcpus()
            if card is not None:
                counted.interfaceStats(card[1])
                counted.blockStats("vda")

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
