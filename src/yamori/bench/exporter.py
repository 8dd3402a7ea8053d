"""A libvirt host read domain by domain, as public exporters do that were made before or without the bulk call."""

import re
from collections.abc import Container
from functools import partial
from typing import Any

from yamori.bench.counting import Counted, CountingConnection
from yamori.model.errors import TimedOut, Unreachable, YamoriError

_ACTIVE = 1
"""VIR_CONNECT_LIST_DOMAINS_ACTIVE of virConnectListAllDomainsFlags."""
_CARD = re.compile(r"<interface\b.*?<target dev='([^']+)'", re.S)
_DISK = re.compile(r"<disk\b.*?<target dev='([^']+)'", re.S)
_PLAIN = ("info", "memoryStats", "vcpus")
_DEFINITION = "XMLDesc"
_CARDS, _DISKS = "interfaceStats", "blockStats"
ASKED = (_DEFINITION, *_PLAIN, _CARDS, _DISKS)
"""Asked of each domain: its definition, state and CPU time, memory, vCPUs, each card and disk that it has."""


class Exporter:
    """Reads the active domains of a host one after the other. Xen's dom0, which is no VM, is passed over."""

    def __init__(self, connection: CountingConnection) -> None:
        self._connection = connection
        self._asked: tuple[str, ...] = ASKED

    @property
    def asked(self) -> tuple[str, ...]:
        """What is asked of each domain."""
        return self._asked

    @property
    def refused(self) -> tuple[str, ...]:
        """What would be, but this libvirt answers it with an error."""
        return tuple(name for name in ASKED if name not in self._asked)

    async def look(self) -> None:
        """Find out what this libvirt answers; only that is asked from then on. Raises Unreachable, TimedOut."""
        answered = []
        for name in ASKED:
            try:
                await self._connection.call(partial(_try, name), capability="bench")
            except (Unreachable, TimedOut):
                raise
            except YamoriError:
                continue
            answered.append(name)
        self._asked = tuple(answered)

    async def read(self) -> int:
        """Read all; return how many they were. Raises what a connection raises."""
        return int(await self._connection.call(self._read, capability="bench"))

    def _read(self, link: Any) -> int:
        domains = _domains(link)
        for domain in domains:
            _ask(Counted(domain, self._connection.count), self._asked)
        return len(domains)


def _domains(link: Any) -> list[Any]:
    return [domain for domain in link.listAllDomains(_ACTIVE) if domain.ID() != 0]


def _try(name: str, link: Any) -> None:
    for domain in _domains(link)[:1]:
        _ask(domain, {name, _DEFINITION})


def _ask(domain: Any, names: Container[str]) -> None:
    for name in _PLAIN:
        if name in names:
            getattr(domain, name)()
    if _DEFINITION not in names:
        return  # without it nobody knows of disks and cards
    definition = domain.XMLDesc()
    if _CARDS in names:
        for card in _CARD.findall(definition):
            domain.interfaceStats(card)
    if _DISKS in names:
        for disk in _DISK.findall(definition):
            domain.blockStats(disk)
