"""Moves between Xen hosts, whose hypervisor has no TLS: libvirt's daemons talk by TLS, memory by the passage.

libvirt's own tunnel is not used: when its link breaks, the source's job hangs until somebody kills the helper.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import libvirt

from yamori.drivers.libvirt.affinity import is_executing
from yamori.drivers.libvirt.listing import find, read_definition
from yamori.drivers.libvirt.moves import UNDER_WAY, Request, check_storage, note_key
from yamori.drivers.libvirt.settings import LibvirtSettings, dialect_of
from yamori.drivers.libvirt.translate import Definition
from yamori.model.amounts import amount
from yamori.model.errors import Conflict, Invalid, Unsupported
from yamori.model.ids import VMId
from yamori.model.migration import Forecast, Landing, StorageMode

_ALWAYS = libvirt.VIR_MIGRATE_PEER2PEER
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}:(\d{1,5})")
_STANDS_STILL = (
    "a paravirtual guest cannot move live on a Xen without shadow paging: it stands still while its {memory} are "
    "sent, about {seconds:.0f} s at {rate}"
)
_LIVE = "Xen stops it for its last pages only; how long that takes nobody tells"
_MEND = "allow that it stands still, or give it the type xenpvh"
_USUAL_BYTES_S = 1e8
"""What is assumed where no bandwidth is asked for: a link of 1 Gbit/s."""


class XenMoves:
    """How VMs leave a Xen host and land on one."""

    def __init__(self, settings: LibvirtSettings) -> None:
        self._settings = settings

    def address(self) -> str | None:
        """The agent on the host names it (see yamori.agent.passage): without one there is no way."""
        return None

    def forecast(self, link: Any, vm: VMId, *, bandwidth_bytes_s: int | None) -> Forecast:
        """Paravirtual guests stand still: from their memory and the bandwidth asked for, or a usual one."""
        return forecast_of(read_definition(find(link, vm), ()), bandwidth_bytes_s)

    def prepare(
        self,
        link: Any,
        vm: VMId,
        landing: Landing,
        *,
        storage: StorageMode,
        bandwidth_bytes_s: int | None,
        key: str,
        stopping: bool,
    ) -> Request | None:
        """Check what can be checked here and note the key; None: that move is under way already.

        Raises NotFound, Conflict, Invalid, Unsupported.
        """
        uri, address = daemon_of(landing), memory_address_of(landing)
        handle = find(link, vm)
        found = read_definition(handle, self._settings.shared_paths)
        if handle.jobStats().get("type") in UNDER_WAY:
            if found.move_key == key:
                return None
            raise Conflict("the VM is being moved, or another job on it is under way", subject=vm)
        if handle.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
            raise Conflict("the VM does not run: Xen moves only what can answer", subject=vm)
        forecast = forecast_of(found, bandwidth_bytes_s)
        if not forecast.live and not stopping:
            raise Unsupported("migration.live", forecast.why, subject=vm, mend=_MEND)
        check_storage(found, storage)
        flags = _ALWAYS | (libvirt.VIR_MIGRATE_LIVE if forecast.live else 0)
        if handle.isPersistent():
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        note_key(handle, key)
        return Request(uri=uri, flags=flags, parameters={libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{address}"})

    def job(self, handle: Any, note: str) -> Mapping[str, Any]:
        """The domain's job. Xen's driver does not say what a job is: a noted move of ours tells it.

        ``note``: how the notes of this endpoint begin.
        """
        told: dict[str, Any] = handle.jobStats()
        if told.get("type") in UNDER_WAY and "operation" not in told:
            noted = read_definition(handle, ()).move_key
            if noted is not None and noted.startswith(note):
                told["operation"] = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
        return told

    def is_arriving(self, handle: Any) -> bool:
        """Whether a domain that does not run is the receiving side of a move: it is paused, with a job."""
        return handle.jobStats().get("type") in UNDER_WAY and handle.state()[0] != libvirt.VIR_DOMAIN_RUNNING

    def may_have_left(self, handle: Any, vcpus: int) -> bool:
        """libvirt calls the VM running until its very last step, when it may run at the destination already."""
        return not is_executing(handle, vcpus)


def forecast_of(found: Definition, bandwidth_bytes_s: int | None) -> Forecast:
    """Say whether a guest moves live, and how long it stands still if it does not."""
    if found.kind != "linux":
        return Forecast(live=True, downtime_s=None, why=_LIVE)
    rate = bandwidth_bytes_s or _USUAL_BYTES_S
    seconds = found.memory_bytes / rate
    why = _STANDS_STILL.format(memory=amount(found.memory_bytes, "B"), seconds=seconds, rate=amount(rate, "B/s"))
    return Forecast(live=False, downtime_s=seconds, why=why)


def daemon_of(landing: Landing) -> str:
    """The destination's libvirtd, which must be reached encrypted. Raises Invalid."""
    try:
        dialect_of(landing.uri)
    except ValueError as error:
        raise Invalid(f"the landing's address: {error}") from None
    if urlsplit(landing.uri).scheme not in {"xen+tls", "xen+ssh"}:
        raise Invalid("a Xen host must be reached by xen+tls or xen+ssh: anything else would be plaintext")
    return landing.uri


def memory_address_of(landing: Landing) -> str:
    """Where memory goes: our own loopback, where the passage takes it. Raises Invalid for anything else.

    Xen itself sends in plaintext. This check is what keeps it on this machine.
    """
    matched = _LOOPBACK.fullmatch(landing.address or "")
    if matched is None or int(matched[2]) > 65535:
        raise Invalid("the landing names no loopback address of the passage: memory would go out in plaintext")
    return matched[0]
