"""A Xen host as libvirt's binding shows one: recorded definitions, and answers as real libvirtd 9.0 gave them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from yamori.drivers.libvirt.failure import translate
from yamori.drivers.libvirt.settings import LibvirtSettings
from yamori.drivers.libvirt.translate import definition
from yamori.model.ids import EndpointName

RECORDED = Path(__file__).parent / "recorded"
CAPABILITIES = "<capabilities><host><migration_features><live/></migration_features></host></capabilities>"


def recorded(name: str) -> str:
    return (RECORDED / f"xen-{name}.xml").read_text()


def error(code: int, domain: int = libvirt.VIR_FROM_LIBXL) -> libvirt.libvirtError:
    """What libvirt raises, with a code and the part of libvirt that raises it."""
    made = libvirt.libvirtError("answered with an error")
    made.err = (code, domain, "answered with an error", 2, None, None, None, -1, -1)
    return made


class XenDomain:
    """One domain, in one of the states that libvirt knows. Notes every call that changes something."""

    def __init__(self, xml: str, *, state: tuple[int, int] = (1, 1), persistent: bool = True) -> None:
        found = re.search(
            r"<domain type='xen'(?: id='(\d+)')?>\s*<name>(.*?)</name>\s*<uuid>(.*?)</uuid>", xml, re.S
        )
        assert found
        self.number = int(found[1]) if found[1] else 77
        self.xml, self._name, self.uuid = xml, found[2], found[3]
        self.now, self.persistent = state, persistent
        self.scheduler: dict[str, Any] = {"weight": 256, "cap": 0}
        self.scheduler_name = "credit2"
        self.holds_kib: int | None = None
        self.job: dict[str, Any] = {"type": 0}
        self.done: list[tuple[str, Any]] = []
        self.fails: dict[str, libvirt.libvirtError] = {}

    def UUIDString(self) -> str:
        return self.uuid

    def name(self) -> str:
        return self._name

    def ID(self) -> int:
        return self.number if self.isActive() else -1

    def isActive(self) -> int:
        return int(self.now[0] != libvirt.VIR_DOMAIN_SHUTOFF)

    def isPersistent(self) -> int:
        return int(self.persistent)

    def state(self) -> list[int]:
        self._fail("state")
        return list(self.now)

    def jobStats(self) -> dict[str, Any]:
        self._fail("jobStats")
        return dict(self.job)

    def XMLDesc(self, _flags: int) -> str:
        self._fail("XMLDesc")
        return self.xml

    def info(self) -> list[int]:
        found = definition(self.xml)
        held = found.memory_bytes >> 10 if self.holds_kib is None else self.holds_kib
        return [self.now[0], found.memory_max_bytes >> 10, held, found.vcpus, 0]

    def schedulerType(self) -> tuple[str, int]:
        self._fail("schedulerType")
        return self.scheduler_name, 2

    def schedulerParameters(self) -> dict[str, Any]:
        return dict(self.scheduler)

    def setSchedulerParametersFlags(self, asked: dict[str, int], flags: int) -> int:
        if flags:
            raise error(libvirt.VIR_ERR_INVALID_ARG)
        self.done.append(("scheduler", asked))
        self.scheduler |= asked
        return 0

    def setMemoryFlags(self, kib: int, flags: int) -> int:
        self.done.append(("memory", (kib, flags)))
        return 0

    def setMetadata(self, _kind: int, xml: str | None, *_more: object) -> int:
        self.done.append(("metadata", xml))
        return 0

    def destroyFlags(self, _flags: int) -> int:
        self.done.append(("destroy", None))
        self.now = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED)
        return 0

    def create(self) -> int:
        self._fail("create")
        self.done.append(("create", None))
        self.now = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)
        return 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is not there in Xen's driver: blockIoTune, interfaceParameters, reset, abortJob …"""
        if name.startswith("_"):
            raise AttributeError(name)

        def absent(*_given: object, **_named: object) -> None:
            raise error(libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_REMOTE)

        return absent

    def _fail(self, name: str) -> None:
        if name in self.fails:
            raise self.fails[name]


class XenLink:
    """A connection to a host with such domains. Counts the calls that go over the wire."""

    def __init__(self, *domains: XenDomain) -> None:
        self.domains = list(domains)
        self.calls: list[str] = []

    def listAllDomains(self, flags: int = 0) -> list[XenDomain]:
        self.calls.append(f"listAllDomains {flags}")
        wanted = {
            0: lambda _each: True,
            libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING: lambda each: each.now[0] == libvirt.VIR_DOMAIN_RUNNING,
            libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT: lambda each: each.persistent,
        }[flags]
        return [each for each in self.domains if wanted(each)]

    def lookupByUUIDString(self, uuid: str) -> XenDomain:
        for each in self.domains:
            if each.uuid == uuid:
                return each
        raise error(libvirt.VIR_ERR_NO_DOMAIN)

    def getInfo(self) -> list[Any]:
        return ["x86_64", 2047, 2, 2596, 1, 1, 2, 1]

    def getHostname(self) -> str:
        return "dom0a"

    def getVersion(self) -> int:
        return 4_017_000

    def getCapabilities(self) -> str:
        return CAPABILITIES

    def isAlive(self) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def absent(*_given: object, **_named: object) -> None:
            raise error(libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_REMOTE)

        return absent


class XenConnection:
    """Answers at once, in place of the link that opens itself again."""

    def __init__(self, link: XenLink, **settings: Any) -> None:
        self.endpoint = EndpointName("xen-a")
        self.settings = LibvirtSettings(uri="xen+tls://xen-a/system", **settings)
        self.link = link
        self.on_open: list[Any] = []
        self.before_close: list[Any] = []
        self.on_lost: list[Any] = []
        self.is_open = True

    async def call(
        self, job: Callable[[Any], Any], *, capability: str, subject: str | None = None, **_: Any
    ) -> Any:
        try:
            return job(self.link)
        except libvirt.libvirtError as failed:
            raise translate(failed, capability=capability, subject=subject) from failed

    async def call_unlimited(self, job: Callable[[Any], Any], *, capability: str, subject: str) -> Any:
        return await self.call(job, capability=capability, subject=subject)
