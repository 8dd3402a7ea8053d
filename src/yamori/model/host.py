"""A machine that runs a hypervisor."""

from dataclasses import dataclass

from yamori.model.ids import HostId


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host at one reading. Sizes in bytes; ``None`` means that the hypervisor does not say."""

    id: HostId
    name: str
    hypervisor: str
    hypervisor_version: str
    cpus: int | None
    memory_bytes: int | None
    site: str | None = None
